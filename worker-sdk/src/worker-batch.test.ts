import assert from "node:assert/strict";
import { test } from "node:test";
import { FailureClass } from "@muster/protocol";
import { z } from "zod";
import { defineTask } from "./contract/index.ts";
import { NonRetryableError, OptionsError, type TaskContext, Worker } from "./index.ts";
import { connected, outcomeOf } from "./worker-fixture.test.ts";

const OTHER = { other: () => 1 };

test("the cancellation, timeout, loss and failure of a member do not spoil the others of its batch", async () => {
  const call = Promise.withResolvers<readonly TaskContext[]>();
  const go = Promise.withResolvers<void>();
  const embed = defineTask({ type: "embed", input: z.object({ text: z.string() }), output: z.number() });
  await using setup = await connected({ concurrency: 6, tasks: OTHER }, undefined, (worker) => {
    worker.handleBatch(
      embed,
      async (inputs, members) => {
        call.resolve(members);
        await go.promise;
        return inputs.map(({ text }) =>
          text === "empty" ? new NonRetryableError("no text", { code: "EMPTY" }) : text.length,
        );
      },
      { batch: { size: 5, waitMs: 60_000 } },
    );
  });
  const { stream, worker } = setup;
  stream.assign("t-1.1", "embed", { text: "one" });
  stream.assign("t-2.1", "embed", { text: "cancelled" });
  stream.assign("t-3.1", "embed", { text: "late" }, { runTimeout: { seconds: 0n, nanos: 200_000_000 } });
  stream.assign("t-4.1", "embed", { text: 4 });
  stream.assign("t-5.1", "embed", { text: "empty" });
  stream.assign("t-6.1", "embed", { text: "revoked" });
  const refused = await outcomeOf(stream, "t-4.1");
  assert.ok(refused?.case === "failed" && refused.value.code === "INVALID_PAYLOAD", "it joins no batch");
  const members = await call.promise;
  assert.deepEqual(
    members.map(({ attempt }) => attempt.id),
    ["t-1.1", "t-2.1", "t-3.1", "t-5.1", "t-6.1"],
  );
  const aborted = (index: number) =>
    new Promise<unknown>((resolve) => {
      const signal = members[index]?.signal ?? assert.fail();
      if (signal.aborted) resolve(signal.reason);
      else signal.addEventListener("abort", () => resolve(signal.reason));
    });
  stream.send({ case: "cancelAttempt", value: { attemptId: "t-2.1", reason: "not needed" } });
  stream.send({ case: "revokeAttempt", value: { attemptId: "t-6.1", reason: "lost" } });
  const reasons = await Promise.all([aborted(1), aborted(2), aborted(4)]);
  assert.deepEqual(
    reasons.map((reason) => (reason as Error).name),
    ["CancelledError", "TimedOutError", "RevokedError"],
  );
  assert.equal(members[0]?.signal.aborted, false);
  go.resolve();
  const outcomes = await Promise.all(["t-1.1", "t-2.1", "t-3.1", "t-5.1"].map((id) => outcomeOf(stream, id)));
  assert.deepEqual(
    outcomes.map((each) =>
      each?.case === "failed" ? [each.case, each.value.failureClass, each.value.code] : each?.case,
    ),
    [
      "succeeded",
      "cancelled",
      ["failed", FailureClass.TIMED_OUT, "TIMED_OUT"],
      ["failed", FailureClass.NON_RETRYABLE, "EMPTY"],
    ],
  );
  await worker.stop();
  const results = stream.received.flatMap((each) => (each.case === "taskResults" ? each.value.results : []));
  assert.equal(
    results.find(({ attemptId }) => attemptId === "t-6.1"),
    undefined,
    "the result of an attempt that is no longer this worker's is not sent",
  );
});

test("a worker that drains calls the handler for what has gathered", async () => {
  const embed = defineTask({ type: "embed", input: z.object({ text: z.string() }), output: z.number() });
  const sizes: number[] = [];
  await using setup = await connected({ concurrency: 8, tasks: OTHER }, undefined, (worker) => {
    worker.handleBatch(
      embed,
      (inputs, members) => {
        sizes.push(members.length);
        return inputs.map(({ text }) => text.length);
      },
      { batch: { size: 8, waitMs: 60_000 } },
    );
  });
  const { stream, worker } = setup;
  for (const id of ["t-1.1", "t-2.1", "t-3.1"]) stream.assign(id, "embed", { text: id });
  await stream.next("taskEvent", ({ attemptId, name }) => attemptId === "t-3.1" && name === "task.started");
  const stopped = worker.stop();
  const outcome = await outcomeOf(stream, "t-3.1");
  assert.ok(outcome?.case === "succeeded");
  assert.equal(Buffer.from(outcome.value.output).toString(), "5");
  await stopped;
  assert.deepEqual(sizes, [3]);
});

test("a batch that the worker could never fill is refused", () => {
  const embed = defineTask({ type: "embed" });
  const tooLarge =
    /batch\.size: 16 attempts would never be here at once, because the worker runs 4 of this type; set concurrency to at least 16, or batch\.size to at most 4/;
  const handler = () => [];
  assert.throws(
    () => new Worker({ concurrency: 4 }).handleBatch(embed, handler, { batch: { size: 16 } }),
    (error) => error instanceof OptionsError && tooLarge.test(error.message),
  );
  const worker = new Worker({ concurrency: 16 });
  assert.throws(() => worker.handleBatch(embed, handler, { batch: { size: 16 }, concurrency: 4 }), tooLarge);
  assert.throws(
    () => worker.handleBatch(embed, handler, undefined as never),
    /option batch\.size: undefined/,
  );
  worker.handleBatch(embed, handler, { batch: { size: 16 } });
  assert.throws(() => worker.handle(embed, () => 1), /has a handler already/);
});
