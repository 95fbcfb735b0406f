import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Distribution, LONG_BUCKETS, SHORT_BUCKETS } from "./distribution.ts";

describe("Distribution", () => {
  it("counts a value in the first bucket whose bound it does not exceed", () => {
    const distribution = new Distribution([1, 2, 5]);
    for (const value of [0, 1, 1.5, 2, 4.9, 5, 5.1, 1_000]) distribution.record(value);
    assert.deepEqual(distribution.counts, [2, 2, 2, 2]);
    assert.equal(distribution.count, 8);
    assert.ok(Math.abs(distribution.sum - 1_019.5) < 1e-9);
  });

  it("counts a value several times at once", () => {
    const distribution = new Distribution([1]);
    distribution.record(3, 500);
    assert.deepEqual([distribution.counts, distribution.count, distribution.sum], [[0, 500], 500, 1_500]);
  });

  it("never has a negative sum", () => {
    const distribution = new Distribution([1]);
    distribution.record(-0.5);
    assert.deepEqual([distribution.counts, distribution.sum], [[1, 0], 0]);
  });

  it("has ascending bounds wherever it is used", () => {
    for (const bounds of [LONG_BUCKETS, SHORT_BUCKETS])
      assert.deepEqual(
        bounds,
        [...bounds].sort((a, b) => a - b),
      );
  });
});
