import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Client, TaskFailedError } from "@muster/worker/client";
import { createDatabase, type TestDatabase } from "../support/database/postgres.ts";
import { killAll } from "../support/programs/program.ts";
import { startTestScheduler, startTestWorker, type TestScheduler } from "../support/programs/scheduler.ts";

describe("a task's way through scheduler and worker", () => {
  let db: TestDatabase;
  let scheduler: TestScheduler;
  let client: Client;

  before(async () => {
    db = await createDatabase();
    scheduler = await startTestScheduler({ databaseUrl: db.url });
    client = new Client({ scheduler: scheduler.grpc });
    await startTestWorker({ scheduler: scheduler.grpc, id: "smoke-1" });
  });

  after(async () => {
    // Undefined when a start failed; the rest must be ended all the same.
    client?.close();
    await killAll();
    await db.drop();
  });

  it("gives the result back", async () => {
    const handle = await client.submit("echo", { hello: "world" });
    assert.deepEqual(await handle.result(), { hello: "world" });
    const task = await handle.get();
    assert.equal(task.detail, "succeeded");
    assert.equal(task.workerId, "smoke-1");
  });

  it("runs what was submitted before a worker was free", async () => {
    const handles = await client.submitMany(
      Array.from({ length: 50 }, (_, n) => ({ type: "echo", payload: { n } })),
    );
    const results = await Promise.all(handles.map((handle) => handle.result()));
    assert.deepEqual(
      results,
      Array.from({ length: 50 }, (_, n) => ({ n })),
    );
  });

  it("fails at once what is not worth another try", async () => {
    const handle = await client.submit("refuse");
    await assert.rejects(
      handle.result(),
      (error: unknown) => error instanceof TaskFailedError && error.code === "NEVER",
    );
  });

  it("ends in an orderly way on SIGTERM", async () => {
    assert.deepEqual(await scheduler.program.end("SIGTERM"), { code: 0, signal: null });
  });
});
