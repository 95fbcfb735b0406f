import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { DurationSchema } from "@bufbuild/protobuf/wkt";
import { FailureClass, RejectionReason } from "@muster/protocol";
import { z } from "zod";
import { RawScheduler, type RawStream } from "../../test/support/peers/raw-scheduler.ts";
import {
  CancelledError,
  NonRetryableError,
  RetryableError,
  RevokedError,
  Worker,
  type WorkerOptions,
  WorkerStartedError,
} from "./index.ts";

async function connected(
  options: Partial<WorkerOptions> & Pick<WorkerOptions, "tasks">,
  scheduler?: RawScheduler,
  prepare?: (worker: Worker) => void,
) {
  const server = scheduler ?? (await RawScheduler.start());
  const worker = new Worker({
    scheduler: server.address,
    registerTimeoutS: 10,
    drainTimeoutS: 5,
    ...options,
  });
  prepare?.(worker);
  await worker.start().catch((error) => {
    server.stop();
    throw error;
  });
  const stream = await server.stream();
  return {
    server,
    worker,
    stream,
    async [Symbol.asyncDispose]() {
      await worker.stop({ timeoutS: 0 });
      server.stop();
    },
  };
}

async function outcomeOf(stream: RawStream, attemptId: string) {
  const isIts = (result: { readonly attemptId: string }) => result.attemptId === attemptId;
  const { results } = await stream.next("taskResults", (value) => value.results.some(isIts));
  return results.find(isIts)?.outcome;
}

test("registers, runs a task, reports every step in order and says goodbye", async () => {
  await using setup = await connected({
    id: "w-1",
    token: "secret",
    concurrency: 2,
    labels: { gpu: "a10" },
    tasks: {
      double: {
        input: z.object({ n: z.number() }),
        handler: async (ctx) => {
          ctx.progress(0.5, "half");
          const value = await ctx.phase("inference", () => (ctx.payload as { n: number }).n * 2);
          ctx.output("chunk");
          ctx.warn({ step: "upload", code: "UPLOAD_FAILED", message: "no thumbnail" });
          return { value };
        },
      },
    },
  });
  const { stream, worker } = setup;
  assert.equal(worker.status, "ready");
  assert.equal(stream.authorization, "Bearer secret");
  const hello = await stream.next("hello");
  assert.equal(hello.workerId, "w-1");
  assert.equal(hello.slotCount, 2);
  assert.deepEqual(hello.labels, { gpu: "a10" });
  assert.deepEqual(
    hello.startupPhases.map(({ phase }) => phase),
    ["boot", "scheduler_connecting"],
  );
  await stream.next("startupPhase", ({ phase }) => phase === "ready");
  stream.assign("t-1.1", "double", { n: 21 });
  const { results } = await stream.next("taskResults");
  const [result] = results;
  assert.equal(result?.outcome.case, "succeeded");
  if (result?.outcome.case !== "succeeded") return;
  assert.deepEqual(JSON.parse(Buffer.from(result.outcome.value.output).toString()), { value: 42 });
  assert.equal(result.outcome.value.warnings[0]?.code, "UPLOAD_FAILED");
  assert.deepEqual(
    result.metrics?.phases.map(({ phase, failed }) => [phase, failed]),
    [["inference", false]],
  );
  assert.ok((result.metrics?.peakRssBytes ?? 0n) > 0n);
  assert.deepEqual(
    stream.all("taskEvent").map(({ name, sequence }) => [name, Number(sequence)]),
    [
      ["task.received", 1],
      ["task.started", 2],
      ["task.inference.started", 3],
      ["task.inference.completed", 4],
    ],
  );
  const kinds = stream.kinds().filter((kind) => kind !== "startupPhase");
  assert.equal(kinds[1], "taskAccepted");
  assert.ok(kinds.indexOf("taskOutput") < kinds.indexOf("taskResults"));
  await worker.stop();
  const goodbye = await stream.next("goodbye");
  assert.equal(goodbye.counters.tasks_succeeded, 1n);
  assert.equal(worker.status, "stopped");
});

test("failures are classified; bad input is final; large results are refused", async () => {
  await using setup = await connected({
    concurrency: 10,
    tasks: {
      final: () => {
        throw new NonRetryableError("no such page", { code: "NO_PAGE" });
      },
      again: () => {
        throw new RetryableError("busy", { code: "BUSY", retryAfterS: 2 });
      },
      network: async () => {
        throw Object.assign(new Error("reset"), { code: "ECONNRESET" });
      },
      typed: { input: z.object({ n: z.number() }), handler: () => 1 },
      large: () => "x".repeat(1024 * 1024),
      unserializable: () => 10n,
    },
  });
  const { stream } = setup;
  const types = ["final", "again", "network", "typed", "large", "unserializable"];
  for (const type of types) stream.assign(`t-${type}.1`, type, {});
  const failures = [];
  for (const type of types) {
    const { results } = await stream.next("taskResults", (value) =>
      value.results.some(({ attemptId }) => attemptId === `t-${type}.1`),
    );
    const { outcome } = results.find(({ attemptId }) => attemptId === `t-${type}.1`) ?? {};
    assert.equal(outcome?.case, "failed");
    if (outcome?.case === "failed") failures.push([outcome.value.failureClass, outcome.value.code]);
    if (outcome?.case === "failed" && type === "again") assert.equal(outcome.value.retryAfter?.seconds, 2n);
  }
  assert.deepEqual(failures, [
    [FailureClass.NON_RETRYABLE, "NO_PAGE"],
    [FailureClass.RETRYABLE, "BUSY"],
    [FailureClass.RETRYABLE, "ECONNRESET"],
    [FailureClass.NON_RETRYABLE, "INVALID_PAYLOAD"],
    [FailureClass.NON_RETRYABLE, "RESULT_TOO_LARGE"],
    [FailureClass.NON_RETRYABLE, "RESULT_NOT_JSON"],
  ]);
});

test("a handler that throws a promise or a thenable fails its attempt alone", async () => {
  const unhandled: unknown[] = [];
  const note = (reason: unknown) => unhandled.push(reason);
  process.on("unhandledRejection", note);
  const thenable = {
    message: "not an error",
    // biome-ignore lint/suspicious/noThenProperty: what the test is about.
    then() {
      throw new Error("it must not be called");
    },
  };
  await using setup = await connected({
    concurrency: 5,
    tasks: {
      rejected: () => {
        throw Promise.reject(new NonRetryableError("final", { code: "FINAL" }));
      },
      nested: async () => {
        throw Promise.reject(Promise.reject(new TypeError("inner")));
      },
      pending: () => {
        throw new Promise(() => {});
      },
      thenable: async () => {
        throw thenable;
      },
      fine: () => 1,
    },
  });
  const { stream } = setup;
  const codes: Record<string, string> = {};
  for (const type of ["rejected", "nested", "pending", "thenable"]) {
    stream.assign(`t-${type}.1`, type, {});
    const outcome = await outcomeOf(stream, `t-${type}.1`);
    assert.ok(outcome?.case === "failed");
    // async_hooks puts symbols on promises.
    const message = outcome.value.message.replace(/, Symbol.*(?= })/, "");
    codes[type] = `${outcome.value.code}: ${message}`;
  }
  assert.deepEqual(codes, {
    rejected: "FINAL: final",
    nested: "TYPE_ERROR: inner",
    pending: "PROMISE: thrown value: Promise { <pending> }",
    thenable: "ERROR: not an error",
  });
  stream.assign("t-fine.1", "fine", {});
  assert.equal((await outcomeOf(stream, "t-fine.1"))?.case, "succeeded");
  process.off("unhandledRejection", note);
  assert.deepEqual(unhandled, []);
});

test("a phase's threshold that is no number of seconds fails its attempt alone", async () => {
  await using setup = await connected({
    tasks: { work: (ctx) => ctx.phase("inference", () => 1, { warnAfterS: Number.NaN }) },
  });
  setup.stream.assign("t-1.1", "work", {});
  const outcome = await outcomeOf(setup.stream, "t-1.1");
  assert.ok(outcome?.case === "failed");
  assert.match(outcome.value.message, /warnAfterS: NaN is not a number from 0 to 31622400/);
  await assert.rejects(
    setup.worker.stop({ timeoutS: Number.NaN }),
    /stop: 1 fault in the options:\n {2}- option timeoutS: NaN is not a number from 0 to 2000000/,
  );
});

test("unknown types and assignments beyond the slots are rejected; duplicates are accepted, not rerun", async () => {
  const gate = Promise.withResolvers<void>();
  let runs = 0;
  await using setup = await connected({
    tasks: {
      wait: async () => {
        runs += 1;
        await gate.promise;
      },
    },
  });
  const { stream } = setup;
  stream.assign("t-1.1", "wait");
  await stream.next("taskEvent", ({ name }) => name === "task.started");
  stream.assign("t-2.1", "nope");
  assert.equal((await stream.next("taskRejected")).reason, RejectionReason.UNKNOWN_TYPE);
  stream.assign("t-3.1", "wait");
  const noSlot = await stream.next("taskRejected", ({ attemptId }) => attemptId === "t-3.1");
  assert.equal(noSlot.reason, RejectionReason.NO_SLOT);
  const before = stream.all("taskAccepted").length;
  stream.assign("t-1.1", "wait");
  stream.assign("t-4.1", "nope");
  await stream.next("taskRejected", ({ attemptId }) => attemptId === "t-4.1");
  assert.equal(stream.all("taskAccepted").length, before + 1);
  assert.equal(runs, 1);
  gate.resolve();
  await stream.next("taskResults");
});

test("a cancelled handler is cancelled whether it throws or returns, a timeout is a failure", async () => {
  const reasons: unknown[] = [];
  const untilAborted = (signal: AbortSignal): Promise<unknown> =>
    new Promise((resolve) => signal.addEventListener("abort", () => resolve(signal.reason)));
  await using setup = await connected({
    concurrency: 4,
    tasks: {
      throws: async (ctx) => {
        reasons.push(await untilAborted(ctx.signal));
        throw ctx.signal.reason;
      },
      returns: async (ctx) => {
        reasons.push(await untilAborted(ctx.signal));
        return "done anyway";
      },
    },
  });
  const { stream } = setup;
  const outcomes: Record<string, string | undefined> = {};
  const cases: [string, string, boolean][] = [
    ["t-1.1", "throws", false],
    ["t-2.1", "returns", false],
    ["t-3.1", "throws", true],
  ];
  for (const [attemptId, type, timedOut] of cases) {
    stream.assign(attemptId, type);
    await stream.next("taskEvent", (event) => event.attemptId === attemptId && event.name === "task.started");
    stream.send({ case: "cancelAttempt", value: { attemptId, reason: "asked", timedOut } });
    const { results } = await stream.next(
      "taskResults",
      (value) => value.results[0]?.attemptId === attemptId,
    );
    const outcome = results[0]?.outcome;
    outcomes[attemptId] = outcome?.case === "failed" ? outcome.value.code : outcome?.case;
  }
  assert.deepEqual(outcomes, { "t-1.1": "cancelled", "t-2.1": "cancelled", "t-3.1": "TIMED_OUT" });
  assert.ok(reasons[0] instanceof CancelledError);
  stream.assign("t-4.1", "throws", null, { runTimeout: { seconds: 0n, nanos: 30e6 } });
  const { results } = await stream.next("taskResults", (value) => value.results[0]?.attemptId === "t-4.1");
  assert.equal(
    results[0]?.outcome.case === "failed" && results[0].outcome.value.failureClass,
    FailureClass.TIMED_OUT,
  );
});

test("unacknowledged results are sent again on the next stream, with the same session and what is in flight", async () => {
  const gate = Promise.withResolvers<void>();
  const server = await RawScheduler.start({ autoAckResults: false });
  await using setup = await connected(
    { concurrency: 3, tasks: { quick: () => 1, slow: () => gate.promise } },
    server,
  );
  const first = setup.stream;
  first.assign("t-1.1", "quick");
  first.assign("t-2.1", "slow");
  await first.next("taskResults");
  await first.next("taskEvent", ({ name, attemptId }) => name === "task.started" && attemptId === "t-2.1");
  first.cut();
  const second = await server.stream(1);
  const hello = await second.next("hello");
  assert.equal(hello.sessionId, (await first.next("hello")).sessionId);
  assert.equal(hello.ready, true);
  assert.match(hello.lastError, /UNAVAILABLE/);
  assert.deepEqual(
    hello.inFlight.map(({ attemptId, resultPending }) => [attemptId, resultPending]),
    [
      ["t-1.1", true],
      ["t-2.1", false],
    ],
  );
  const again = await second.next("taskResults");
  assert.deepEqual(
    again.results.map(({ attemptId }) => attemptId),
    ["t-1.1"],
  );
  const accepted = await second.next("taskAccepted");
  assert.deepEqual(accepted.attemptIds, ["t-1.1", "t-2.1"]);
  for (const id of accepted.attemptIds) {
    assert.equal((await second.next("taskEvent", ({ attemptId }) => attemptId === id)).sequence, 1n);
  }
  const kinds = second.kinds();
  assert.ok(kinds.indexOf("taskEvent") < kinds.indexOf("taskResults"), "the result comes last");
  second.ack("t-1.1");
  second.ackResults = true;
  gate.resolve();
  await second.next("taskResults", ({ results }) => results[0]?.attemptId === "t-2.1");
  const beat = await second.next("heartbeat", ({ running }) => running.length === 0);
  assert.equal(beat.counters.reconnects, 1n);
});

test("an attempt that a reconnect does not keep is revoked and its result dropped", async () => {
  const server = await RawScheduler.start();
  const aborted = Promise.withResolvers<unknown>();
  await using setup = await connected(
    {
      concurrency: 2,
      tasks: {
        slow: async (ctx) => {
          await new Promise((resolve) => ctx.signal.addEventListener("abort", resolve));
          aborted.resolve(ctx.signal.reason);
          return 1;
        },
        quick: () => 2,
      },
    },
    server,
  );
  setup.stream.assign("t-1.1", "slow");
  await setup.stream.next("taskEvent", ({ name }) => name === "task.started");
  Object.assign(server.options, {
    welcome: { decisions: [{ attemptId: "t-1.1", keep: false, reason: "lost" }] },
  });
  setup.stream.cut();
  const second = await server.stream(1);
  assert.ok((await aborted.promise) instanceof RevokedError);
  second.assign("t-2.1", "quick");
  await second.next("taskResults", ({ results }) => results[0]?.attemptId === "t-2.1");
  const reported = second
    .all("taskResults")
    .flatMap(({ results }) => results.map(({ attemptId }) => attemptId));
  assert.deepEqual(reported, ["t-2.1"]);
});

test("heartbeats without an acknowledgement make the worker dial again", async () => {
  const server = await RawScheduler.start({ heartbeatMs: 50 });
  await using setup = await connected({ tasks: { t: () => 1 } }, server);
  setup.stream.ackBeats = false;
  const second = await server.stream(1);
  assert.match((await second.next("hello")).lastError, /heartbeats unanswered/);
});

test("reaches a scheduler that takes a moment longer than the first dial waits", async () => {
  const brief = create(DurationSchema, { seconds: 1n });
  const server = await RawScheduler.start({
    autoWelcome: false,
    welcome: { lease: create(DurationSchema, { seconds: 30n }), reconnectGrace: brief },
  });
  const starting = connected({ tasks: { t: () => 1 } }, server);
  const first = await server.stream();
  await first.next("hello");
  first.welcome();
  await using _setup = await starting;
  first.cut();
  // Half a second for the first dial, twice as long for each that follows.
  for (let index = 1; ; index += 1) {
    const stream = await server.stream(index);
    await stream.next("hello");
    const gaveUp = await Promise.race([stream.closed.then(() => true), sleep(700).then(() => false)]);
    if (gaveUp) continue;
    assert.ok(index > 1 && index < 6, `reached with dial ${index}`);
    stream.welcome();
    await stream.next("heartbeat");
    return;
  }
});

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
  assert.deepEqual((await stream.next("hello")).features, ["prepare_resource"]);
  stream.send({ case: "prepareResource", value: { resource: "model:a" } });
  await stream.next("heartbeat", ({ resources }) => resources.includes("model:a"));
  stream.send({ case: "releaseResource", value: { resource: "model:a", reason: "room" } });
  const seen = stream.received.length;
  stream.send({ case: "pause", value: { reason: "operator" } });
  await stream.next("heartbeat", ({ paused }) => paused);
  assert.ok(stream.received.length > seen);
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
