import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AttemptSteps } from "./attempt-steps.ts";

describe("the steps that an attempt reports", () => {
  it("keep their places, and are taken once until they change", () => {
    const steps = new AttemptSteps(2, { work: { state: "pending", place: 1, epoch: 1, atMs: 1 } });
    assert.equal(steps.take(), undefined);
    assert.equal(steps.note({ name: "work", state: "pending" }, 5), "noted");
    assert.equal(steps.note({ name: "work", state: "pending" }, 6), "unchanged");
    assert.equal(steps.note({ name: "create_pr", state: "failed", code: "A", message: "b" }, 7), "noted");
    const taken = steps.take() ?? assert.fail();
    assert.deepEqual(taken, {
      work: { state: "pending", place: 1, epoch: 2, atMs: 5 },
      create_pr: { state: "failed", code: "A", message: "b", place: 2, epoch: 2, atMs: 7 },
    });
    assert.equal(steps.take(), undefined);
    assert.equal(steps.note({ name: "work", state: "done", result: "1" }, 8), "noted");
    steps.putBack(taken);
    assert.equal(steps.take()?.work?.state, "done", "what was not written does not replace what is newer");
    assert.deepEqual(Object.keys(steps.reported ?? {}), ["work", "create_pr"]);
  });

  it("do not begin again in the same attempt, when a worker sends all of them on a new stream", () => {
    const steps = new AttemptSteps(1);
    steps.note({ name: "work", state: "done", result: "1" }, 1);
    assert.equal(steps.note({ name: "work", state: "pending" }, 2), "unchanged");
    assert.equal(steps.note({ name: "work", state: "done", result: "2" }, 2), "unchanged");
    assert.equal(steps.take()?.work?.result, "1");
  });

  it("are at most 32, of 64 KiB together", () => {
    const steps = new AttemptSteps(1);
    for (let n = 1; n <= 32; n++) assert.equal(steps.note({ name: `s${n}`, state: "pending" }, 1), "noted");
    assert.equal(steps.note({ name: "s33", state: "pending" }, 1), "too_much");
    const large = (n: number) => steps.note({ name: `s${n}`, state: "done", result: "x".repeat(16_000) }, 1);
    assert.deepEqual([large(1), large(2), large(3), large(4)], ["noted", "noted", "noted", "too_much"]);
    assert.equal(steps.reported?.s4?.state, "pending");
  });
});
