import assert from "node:assert/strict";
import { test } from "node:test";
import { whileFull } from "./while-full.ts";

const full = (retryAfterMs: number | undefined) =>
  Object.assign(new Error("full"), { reason: "QUEUE_FULL", retryAfterMs });

function setUp(answers: readonly unknown[]) {
  const left = [...answers];
  let nowMs = 0;
  const slept: number[] = [];
  const submit = async () => {
    const answer = left.shift();
    if (answer instanceof Error) throw answer;
    return answer;
  };
  const run = (timeoutMs: number) =>
    whileFull(submit, timeoutMs, {
      monotonicMs: () => nowMs,
      sleep: async (ms) => {
        slept.push(ms);
        nowMs += ms;
      },
    });
  return { run, slept, left };
}

test("a submit to a full queue is repeated after the delay that was asked for", async () => {
  const { run, slept } = setUp([full(1_000), full(500), "t-1"]);
  assert.equal(await run(2_000), "t-1");
  assert.deepEqual(slept, [1_000, 500]);
});

test("not beyond the time, not without a delay, and not for another reason", async () => {
  const late = setUp([full(1_000), full(1_000), "t-1"]);
  await assert.rejects(late.run(1_500), /full/);
  assert.deepEqual(late.slept, [1_000]);
  for (const error of [full(undefined), new Error("other"), full(1)]) {
    const { run, slept } = setUp([error, "t-1"]);
    await assert.rejects(run(0), error);
    assert.deepEqual(slept, []);
  }
});
