import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Client } from "@muster/worker/client";
import { nothingLeftOf, processesOf } from "../support/programs/left-behind.ts";
import { killAll } from "../support/programs/program.ts";
import { startTestWorker } from "../support/programs/scheduler.ts";
import { type Folder, type Served, serve, temporaryFolder } from "../support/programs/serve.ts";

const WAITING = 20;

describe("npm start, killed and started again", () => {
  let folder: Folder;
  let served: Served;
  let doneId: string;
  let waiting: string[];

  before(async () => {
    folder = await temporaryFolder();
    served = await serve(folder);
  });

  after(async () => {
    await killAll();
    await folder.remove();
  });

  it("keeps on SIGKILL what it accepted and what was done", async () => {
    const worker = await startTestWorker({ scheduler: served.grpc, id: "before-the-kill" });
    {
      using client = new Client({ scheduler: served.grpc });
      const done = await client.submit("echo", { n: "done" });
      assert.deepEqual(await done.result(), { n: "done" });
      doneId = done.id;
      assert.deepEqual(await worker.end(), { code: 0, signal: null });
      const handles = await client.submitMany(
        Array.from({ length: WAITING }, (_, n) => ({ type: "echo", payload: { n } })),
      );
      waiting = handles.map(({ id }) => id);
    }
    assert.deepEqual(await served.program.end("SIGKILL"), { code: null, signal: "SIGKILL" });

    served = await serve(folder);
    using client = new Client({ scheduler: served.grpc });
    assert.equal((await client.handle(doneId).get()).detail, "succeeded");
    const kept = await Promise.all(waiting.map((id) => client.handle(id).get()));
    assert.deepEqual(
      kept.map(({ id }) => id),
      waiting,
    );
  });

  it("comes up when the database is left behind as well, and finishes the work", async () => {
    // The killed scheduler leaves its database running; the new start handles that.
    await served.program.end("SIGKILL");
    served = await serve(folder);
    await startTestWorker({ scheduler: served.grpc, id: "after-the-kill" });
    using client = new Client({ scheduler: served.grpc });
    const results = await Promise.all(waiting.map((id) => client.handle(id).result()));
    assert.deepEqual(
      results,
      Array.from({ length: WAITING }, (_, n) => ({ n })),
    );
  });

  it("leaves nothing running on SIGTERM", async () => {
    assert.notDeepEqual(processesOf(folder.path), []);
    assert.deepEqual(await served.program.end("SIGTERM"), { code: 0, signal: null });
    await nothingLeftOf(folder.path);
  });
});
