import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BudgetExhaustedError } from "../../errors.ts";
import type { ToLink } from "../../link/messages.ts";
import type { Deadline } from "../deadlines.ts";
import { Iterations } from "./iterations.ts";

/** Iterations of an attempt with a clock that the test sets. */
function counting(iterations = 0, maxIterations = 0) {
  const sent: ToLink[] = [];
  let nowMs = 1_000;
  let due: (() => void) | undefined;
  const counter = new Iterations(
    { attemptId: "t-1.2", iterations, maxIterations },
    {
      clock: { monotonicMs: () => nowMs },
      deadlines: {
        add: (_, callback) => {
          due = callback;
          return {} as Deadline;
        },
        remove: () => {
          due = undefined;
        },
      },
      link: { send: (message) => void sent.push(message), flush: () => undefined },
    },
  );
  return {
    counter,
    counts: () => sent.splice(0).map((message) => ("count" in message ? message.count : message)),
    pass: (ms: number) => {
      nowMs += ms;
      due?.();
    },
  };
}

describe("iterations of a task", () => {
  it("are sent at once, then the latest of each interval, and what waits at the end", () => {
    const { counter, counts, pass } = counting(3);
    assert.equal(counter.begun, 3, "those of earlier attempts");
    counter.begin(4);
    assert.deepEqual(counts(), [4]);
    counter.begin(5);
    counter.begin(6);
    assert.deepEqual(counts(), []);
    pass(100);
    assert.deepEqual(counts(), [6]);
    counter.begin(9);
    counter.flush();
    counter.flush();
    assert.deepEqual(counts(), [9]);
    assert.equal(counter.begun, 9);
  });

  it("never fall, and one that began is sent once", () => {
    const { counter, counts } = counting(3);
    for (const n of [1, 3]) counter.begin(n);
    counter.flush();
    assert.deepEqual([counts(), counter.begun], [[], 3]);
  });

  it("end with the budget, also that of earlier attempts", () => {
    const { counter, counts } = counting(4, 5);
    counter.begin(5);
    assert.throws(
      () => counter.begin(6),
      (error) => {
        assert.ok(error instanceof BudgetExhaustedError);
        assert.deepEqual([error.code, error.maxIterations], ["BUDGET_EXHAUSTED", 5]);
        assert.match(error.message, /^Iteration 6 is beyond the budget of 5/);
        return true;
      },
    );
    assert.deepEqual(counts(), [5]);
    assert.equal(counter.begun, 5);
  });

  it("are integers from 1", () => {
    const { counter, counts } = counting();
    for (const wrong of [0, -1, 1.5, Number.NaN, 1e9 + 1, "2" as unknown as number])
      assert.throws(() => counter.begin(wrong), {
        name: "RangeError",
        message: /an integer from 1 to 1000000000$/,
      });
    assert.deepEqual(counts(), []);
  });
});
