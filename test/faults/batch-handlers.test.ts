import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Fleet } from "../support/fleet/fleet.ts";
import { runMuster } from "../support/programs/run-muster.ts";

const BATCH = { file: "batch.ts", slots: 4 };

describe("T64: batch handlers", () => {
  let fleet: Fleet;

  before(async () => {
    fleet = await Fleet.start();
  });

  after(() => fleet.stop());

  it("a member that waits says so; all members run again elsewhere when their worker dies in the middle", async () => {
    const gate = fleet.gate();
    const dies = await fleet.worker("batch-dies", {
      ...BATCH,
      env: { BATCH_SIZE: "3", BATCH_WAIT_MS: "60000" },
    });
    const submit = () => fleet.client.submit<{ size: number; worker: string }>("embed", { gate: gate.path });
    const tasks = [await submit(), await submit()];
    const [first] = tasks;
    assert.ok(first);
    await fleet.eventually(first.id, "task.batch_wait.started");
    await fleet.taskReason(first.id, "WAITING_FOR_BATCH", 5_000, {
      evidence: { worker: /^batch-dies$/, attempt: new RegExp(`^${first.id}\\.1$`), batch_size: /^3$/ },
      commands: ["muster top"],
    });
    const shown = await runMuster(fleet.scheduler.grpc, ["worker", "batch-dies"]);
    assert.match(shown.stdout, /batch_wait/);
    tasks.push(await submit());
    for (const { id } of tasks) await fleet.started(id);
    const calls = new Set(tasks.map(({ id }) => fleet.runs(id)[0]?.at));
    assert.equal(calls.size, 1, "one call for the three of them");
    await dies.end("SIGKILL");
    gate.open();
    await fleet.worker("batch-lives", { ...BATCH, env: { BATCH_SIZE: "3", BATCH_WAIT_MS: "60000" } });
    for (const task of tasks) assert.deepEqual(await task.result(), { size: 3, worker: "batch-lives" });
    for (const { id } of tasks) {
      const { attempts } = await fleet.task(id);
      assert.deepEqual(
        attempts.map(({ workerId }) => workerId),
        ["batch-dies"],
        `${id} lost its attempt with its worker`,
      );
    }
  });
});
