import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { status } from "@grpc/grpc-js";
import { createDatabase, type TestDatabase } from "../support/database/postgres.ts";
import { cutAll, RawWorker } from "../support/peers/raw-worker.ts";
import { killAll } from "../support/programs/program.ts";
import { startTestScheduler } from "../support/programs/scheduler.ts";

describe("protocol: a worker that does not read", () => {
  let db: TestDatabase;

  before(async () => {
    db = await createDatabase();
  });
  after(async () => {
    cutAll();
    await killAll();
    await db.drop();
  });

  it("is cut off when it sends on", async () => {
    const scheduler = await startTestScheduler({ databaseUrl: db.url });
    const worker = await RawWorker.connect(scheduler.grpc, { windowBytes: 1_000 });
    worker.stopReading();
    // Long numbers, so that the answers soon fill what lies between: 3,921 or 3,922 of them in six runs.
    for (let beat = 0; beat < 16_000; beat++) {
      worker.send({ case: "heartbeat", value: { sequence: 2n ** 62n, slotCount: 1 } });
    }
    await scheduler.program.line("worker.suspect");
    worker.readOn();
    const end = await worker.ended;
    assert.deepEqual([end.code, end.reason], [status.RESOURCE_EXHAUSTED, "SLOW_WORKER"], end.details);
    assert.match(end.details, /10001 messages wait for the worker to read them, at most 10000 may/);
  });
});
