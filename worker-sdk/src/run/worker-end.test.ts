import assert from "node:assert/strict";
import { test } from "node:test";
import { status as Status } from "@grpc/grpc-js";
import { RawScheduler } from "../../../test/support/peers/raw-scheduler.ts";
import { StartupTimeoutError, SupersededError, VerdictError, Worker, WorkerStoppedError } from "../index.ts";

test("start and stop may cross; a worker starts once", async () => {
  const server = await RawScheduler.start({ autoWelcome: false });
  const worker = new Worker({ scheduler: server.address, tasks: { t: () => 1 } });
  const start = worker.start();
  assert.equal(worker.start(), start);
  await server.stream();
  const stop = worker.stop();
  await assert.rejects(start, WorkerStoppedError);
  await Promise.all([stop, worker.stop()]);
  assert.equal(worker.status, "stopped");
  const never = new Worker({ scheduler: server.address, tasks: { t: () => 1 } });
  await never.stop();
  await assert.rejects(never.start(), WorkerStoppedError);
  server.stop();
});

test("a verdict, a silent scheduler and a successor end the worker with named errors", async () => {
  const refusing = await RawScheduler.start({
    refuse: { code: Status.UNAUTHENTICATED, reason: "INVALID_TOKEN", message: "the token is not known" },
  });
  const refused = new Worker({ scheduler: refusing.address, tasks: { t: () => 1 } });
  await assert.rejects(refused.start(), (error) => {
    assert.ok(error instanceof VerdictError);
    assert.deepEqual([error.status, error.reason], ["UNAUTHENTICATED", "INVALID_TOKEN"]);
    return true;
  });
  assert.equal(refusing.streams.length, 1);
  refusing.stop();

  const silent = await RawScheduler.start({ autoWelcome: false });
  const waiting = new Worker({ scheduler: silent.address, tasks: { t: () => 1 }, registerTimeoutS: 0.3 });
  await assert.rejects(waiting.start(), StartupTimeoutError);
  silent.stop();

  const server = await RawScheduler.start();
  const worker = new Worker({ scheduler: server.address, tasks: { t: () => 1 } });
  await worker.start();
  (await server.stream()).fail(Status.ABORTED, "WORKER_SUPERSEDED", "a newer stream took over");
  const fatal = await worker.closed;
  assert.ok(fatal?.error instanceof SupersededError);
  assert.equal(worker.status, "failed");
  assert.equal(server.streams.length, 1);
  server.stop();
});
