import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { afterLoss, type Blame, blameOf, type HeldAttempt } from "./blame.ts";

function held(taskId: number, startAgeMs?: number, accepted = true): HeldAttempt {
  return { taskId, epoch: 1, accepted, startAgeMs };
}

function blames(attempts: readonly HeldAttempt[], named?: string): Blame[] {
  return attempts.map((attempt) => blameOf(attempt, attempts, named));
}

describe("T24: whom a process's death is put down to", () => {
  it("T24: the attempt that the worker named, and no other", () => {
    assert.deepEqual(blames([held(1, 5), held(2, 5)], "t-2.1"), ["innocent", "named"]);
  });

  it("T24: one that is named and not held is no answer", () => {
    assert.deepEqual(blames([held(1, 5), held(2, 5)], "t-9.1"), ["suspect", "suspect"]);
  });

  it("T24: those that ran; what waited for a slot did not", () => {
    assert.deepEqual(blames([held(1, 5), held(2, 5), held(3)]), ["suspect", "suspect", "innocent"]);
    assert.deepEqual(blames([held(1, 5), held(2), held(3, undefined, false)]), [
      "lone",
      "innocent",
      "innocent",
    ]);
  });

  it("T24: one that waits without its slots did not run; what runs beside it is alone", () => {
    const waits = { ...held(1, 5), waits: true };
    assert.deepEqual(blames([waits, held(2, 3)]), ["innocent", "lone"]);
    assert.deepEqual(blames([waits, held(2)]), ["innocent", "innocent"]);
  });

  it("T24: all accepted attempts, of a worker that reports no starts", () => {
    assert.deepEqual(blames([held(1), held(2), held(3, undefined, false)]), [
      "suspect",
      "suspect",
      "innocent",
    ]);
  });

  it("T24: waits grow with the losses of the task, and after two it runs alone; one that was named does at once", () => {
    assert.deepEqual(
      [1, 2, 3, 99].map((losses) => afterLoss(losses, "suspect")),
      [
        { delayMs: 0, alone: false },
        { delayMs: 10_000, alone: true },
        { delayMs: 60_000, alone: true },
        { delayMs: 60_000, alone: true },
      ],
    );
    assert.deepEqual(afterLoss(1, "named"), { delayMs: 1_000, alone: true });
    assert.deepEqual(afterLoss(1, "lone"), { delayMs: 0, alone: false });
  });

  it("T24: waits grow with the losses of the worker, up to 30 s, whichever is longer", () => {
    const delays = (losses: number) =>
      [0, 1, 2, 3, 99].map((worker) => afterLoss(losses, "lone", worker).delayMs);
    assert.deepEqual(delays(1), [0, 1_000, 5_000, 30_000, 30_000]);
    assert.deepEqual(delays(2), [10_000, 10_000, 10_000, 30_000, 30_000]);
    assert.equal(afterLoss(1, "lone", 99).alone, false);
  });
});
