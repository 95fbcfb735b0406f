import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Backoff, DEFAULT_RETRY_POLICY, type RetryPolicy } from "./retry.ts";
import { resolveRetry } from "./retry-defaults.ts";

const fixed = (ms: number): Backoff => ({ kind: "fixed", delaysMs: [ms] });

describe("the retry policy that applies to a task", () => {
  it("is built in where nothing is set", () => {
    assert.deepEqual(resolveRetry(undefined, undefined, {}), {
      policy: DEFAULT_RETRY_POLICY,
      sources: { maxRetries: "built_in", backoff: "built_in", lostDelaysMs: "built_in" },
    });
  });

  it("is that of the task, then of the queue, then of the scheduler, part by part", () => {
    const scheduler = { maxRetries: 7, backoff: fixed(7) };
    assert.deepEqual(resolveRetry(undefined, undefined, scheduler).sources, {
      maxRetries: "scheduler",
      backoff: "scheduler",
      lostDelaysMs: "built_in",
    });
    const mixed = resolveRetry(undefined, { backoff: fixed(5) }, { maxRetries: 0 });
    assert.deepEqual(mixed.policy, { ...DEFAULT_RETRY_POLICY, maxRetries: 0, backoff: fixed(5) });
    assert.deepEqual(mixed.sources, {
      ...{ maxRetries: "scheduler", backoff: "queue", lostDelaysMs: "built_in" },
    });
    const own: RetryPolicy = { ...DEFAULT_RETRY_POLICY, maxRetries: 0, maxOutOfMemory: 9 };
    const queue = { maxRetries: 5, backoff: fixed(5) };
    const partly = resolveRetry({ ...own, defaulted: ["backoff"] }, queue, scheduler);
    assert.deepEqual([partly.policy.maxRetries, partly.policy.backoff], [0, fixed(5)]);
    assert.equal(partly.policy.maxOutOfMemory, 9, "what has no default stays");
    assert.deepEqual(partly.sources, {
      ...{ maxRetries: "task", backoff: "queue", lostDelaysMs: "built_in" },
    });
    const whole = resolveRetry(own, queue, scheduler);
    assert.deepEqual(whole.policy, own, "a policy of an earlier version names every part");
    assert.deepEqual(whole.sources, {
      ...{ maxRetries: "task", backoff: "task", lostDelaysMs: "built_in" },
    });
  });

  it("has waits after lost workers only where they are asked for", () => {
    const of = (...given: Parameters<typeof resolveRetry>) => {
      const { policy, sources } = resolveRetry(...given);
      return [policy.lostDelaysMs, sources.lostDelaysMs];
    };
    assert.deepEqual(of(DEFAULT_RETRY_POLICY, undefined, {}), [undefined, "built_in"]);
    const queue = { lostDelaysMs: [2] };
    assert.deepEqual(of(DEFAULT_RETRY_POLICY, queue, { lostDelaysMs: [3] }), [[2], "queue"]);
    assert.deepEqual(of(undefined, { maxRetries: 1 }, { lostDelaysMs: [3] }), [[3], "scheduler"]);
    assert.deepEqual(of({ ...DEFAULT_RETRY_POLICY, lostDelaysMs: [0] }, queue, {}), [[0], "task"]);
  });
});
