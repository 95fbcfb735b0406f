import assert from "node:assert/strict";
import { test } from "node:test";
import { RejectionReason } from "@muster/protocol";
import { RawScheduler } from "../../test/support/peers/raw-scheduler.ts";
import { Worker, WorkerStartedError } from "./index.ts";

import { connected } from "./worker-fixture.test.ts";

test("a drain waits for handlers, then aborts them, then releases what does not return", async () => {
  const server = await RawScheduler.start();
  await using setup = await connected(
    { concurrency: 1, prefetch: 1, tasks: { forever: () => new Promise(() => {}) } },
    server,
  );
  const { stream, worker } = setup;
  stream.assign("t-1.1", "forever");
  stream.assign("t-2.1", "forever");
  await stream.next("taskEvent", ({ attemptId }) => attemptId === "t-2.1");
  const stopped = worker.stop({ reason: "test", timeoutS: 0.05 });
  assert.equal(worker.status, "draining");
  assert.equal((await stream.next("draining")).reason, "test");
  await Promise.all([stopped, worker.stop()]);
  const outcomes = stream
    .all("taskResults")
    .flatMap(({ results }) => results.map(({ attemptId, outcome }) => [attemptId, outcome.case]));
  assert.deepEqual(outcomes, [
    ["t-2.1", "released"],
    ["t-1.1", "released"],
  ]);
  assert.equal((await stream.next("goodbye")).reason, "finished");
  const idle = new Worker({ scheduler: server.address, tasks: { t: () => 1 } });
  await idle.stop();
  assert.equal(idle.status, "stopped", "one that never started");
});

test("prefetch, pause, drain and resources follow the scheduler", async () => {
  await using setup = await connected({ tasks: { t: () => 1 } }, undefined, ({ resources }) =>
    resources.register("model:*", { load: () => undefined }),
  );
  const { stream, worker } = setup;
  assert.throws(() => worker.resources.register("late", { load: () => undefined }), WorkerStartedError);
  assert.deepEqual((await stream.next("hello")).features, ["prepare_resource", "stacks"]);
  stream.send({ case: "prepareResource", value: { resource: "model:a" } });
  await stream.next("heartbeat", ({ resources }) => resources.includes("model:a"));
  stream.send({ case: "releaseResource", value: { resource: "model:a", reason: "room" } });
  stream.send({ case: "pause", value: { reason: "operator" } });
  stream.assign("t-1.1", "t");
  assert.equal((await stream.next("taskRejected")).reason, RejectionReason.PAUSED);
  stream.send({ case: "resume", value: {} });
  await stream.next(
    "heartbeat",
    ({ paused, resources, sequence }) => !paused && resources.length === 0 && sequence > 2n,
  );
  stream.assign("t-2.1", "t");
  await stream.next("taskResults");
  stream.send({ case: "drain", value: { reason: "operator" } });
  assert.equal(await worker.closed, undefined);
  await stream.next("goodbye");
});
