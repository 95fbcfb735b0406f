import assert from "node:assert/strict";
import { test } from "node:test";
import { FailureClass, RejectionReason } from "@muster/protocol";
import { z } from "zod";
import { CancelledError, NonRetryableError, RetryableError } from "./index.ts";

import { connected, outcomeOf } from "./worker-fixture.test.ts";

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
