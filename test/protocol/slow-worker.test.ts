import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { status } from "@grpc/grpc-js";
import { Client } from "@muster/worker/client";
import { createDatabase, type TestDatabase } from "../support/database/postgres.ts";
import { cutAll, RawWorker } from "../support/peers/raw-worker.ts";
import { killAll } from "../support/programs/program.ts";
import { startTestScheduler } from "../support/programs/scheduler.ts";
import { until } from "../support/waits.ts";

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

  it("T54: is sent no more payload than it takes ahead, and everything arrives", async () => {
    const scheduler = await startTestScheduler({ databaseUrl: db.url, args: ["--accept-deadline", "30"] });
    const client = new Client({ scheduler: scheduler.grpc });
    const [count, bytes] = [24, 1_000_000];
    const worker = await RawWorker.connect(scheduler.grpc, {
      slots: 100,
      hello: { assignmentBytes: 4_000_000n, queues: ["slow"] },
      autoAccept: false,
      windowBytes: 100_000,
    });
    worker.stopReading();
    const payload = new Uint8Array(bytes);
    const handles = [];
    for (let sent = 0; sent < count; sent += 3)
      handles.push(
        ...(await client.submitMany(
          Array.from({ length: 3 }, () => ({ type: "echo", payload, queue: "slow" })),
        )),
      );
    const last = handles.at(-1)?.id ?? "";
    await until("the last one waits for bytes", async () => {
      const { explanation } = await client.tasks.explainTask({ taskId: last });
      const waits = explanation?.reasons.some(({ summary }) => summary.includes("limit of 4000000"));
      return waits || undefined;
    });
    worker.readOn();
    const begun = new Set<string>();
    while (begun.size < count) {
      const isNew = ({ attemptId }: { attemptId: string }) => !begun.has(attemptId);
      await worker.next("assignments", ({ assignments }) => assignments.some(isNew));
      const ahead = worker.assignments().filter(isNew);
      assert.ok(ahead.length <= 4, `${ahead.length} payloads of a MB are ahead`);
      for (const { attemptId } of ahead) {
        begun.add(attemptId);
        const attemptIds = [attemptId];
        worker.send({ case: "taskAccepted", value: { attemptIds, startedAttemptIds: attemptIds } });
        worker.succeed(attemptId);
      }
    }
    await Promise.all(handles.map((handle) => handle.result()));
    client.close();
  });
});
