import assert from "node:assert/strict";
import { test } from "node:test";
import type { RestartPolicy } from "./restart.ts";
import { DEFAULT_RESTART_TIMINGS, decideRestart } from "./restart.ts";

function delays(policy: RestartPolicy, runs: readonly { failed: boolean; ranForMs: number }[]) {
  let ends = 0;
  return runs.map((run) => {
    const decision = decideRestart(policy, DEFAULT_RESTART_TIMINGS, run, ends);
    ends = decision.ends;
    return decision.delayMs;
  });
}

const crash = { failed: true, ranForMs: 1_000 };
const success = { failed: false, ranForMs: 1_000 };

test("a crash loop waits 10 s, doubling to 5 min", () => {
  assert.deepEqual(
    delays("on-failure", Array(7).fill(crash)),
    [10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000],
  );
  // No number of ends makes the wait overflow.
  assert.equal(decideRestart("always", DEFAULT_RESTART_TIMINGS, crash, 5_000).delayMs, 300_000);
});

test("ten minutes of running start the waits anew", () => {
  const almost = { failed: true, ranForMs: 599_999 };
  const long = { failed: true, ranForMs: 600_000 };
  assert.deepEqual(delays("on-failure", [crash, almost, long, crash]), [10_000, 20_000, 10_000, 20_000]);
});

test("the policy says what is started again; a success in a loop waits as well", () => {
  assert.deepEqual(delays("never", [crash, success]), [undefined, undefined]);
  assert.deepEqual(delays("on-failure", [success, crash]), [undefined, 20_000]);
  assert.deepEqual(delays("always", [success, success, crash]), [10_000, 20_000, 40_000]);
});
