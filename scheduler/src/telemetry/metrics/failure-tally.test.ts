import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FailureTally } from "./failure-tally.ts";

describe("the tally of failures", () => {
  it("counts by the code and why the failure was final", () => {
    const tally = new FailureTally();
    tally.add("RETRIES_EXHAUSTED", "WORKER_LOST");
    tally.add("RETRIES_EXHAUSTED", "WORKER_LOST");
    tally.add("AUTH_FAILED", "AUTH_FAILED");
    tally.add("POISONED", "WORKER_LOST");
    const counted = [...tally.all()].filter(([, , count]) => count > 0);
    assert.deepEqual(counted, [
      ["NOT_RETRIED", "AUTH_FAILED", 1],
      ["RETRIES_EXHAUSTED", "WORKER_LOST", 2],
      ["POISONED", "WORKER_LOST", 1],
    ]);
  });

  it("has the scheduler's own codes from the start", () => {
    const codes = [...new FailureTally().all()].map(([cause, code]) => `${cause} ${code}`);
    assert.ok(codes.includes("NOT_RETRIED TIMED_OUT"));
    assert.ok(codes.includes("RETRIES_EXHAUSTED WORKER_LOST"));
  });

  it("shares `other` among the codes and the causes that come after the limit", () => {
    const tally = new FailureTally();
    for (let each = 0; each < 500; each++) tally.add(`CODE_${each}`, `CODE_${each}`);
    for (let each = 0; each < 50; each++) tally.add(`CAUSE_${each}`, "X");
    const rows = [...tally.all()];
    assert.equal(
      rows.reduce((sum, [, , count]) => sum + count, 0),
      550,
    );
    assert.equal(rows.filter(([cause]) => cause === "NOT_RETRIED").length, 101);
    assert.equal(new Set(rows.map(([cause]) => cause)).size, 21);
  });
});
