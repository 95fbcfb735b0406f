import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isMetricSum, MAX_METRICS, withSums } from "./handler-report.ts";

describe("the sums that a handler reports", () => {
  it("only grow, and a report that changes nothing makes no new object", () => {
    const known = { tokens_in: 5 };
    assert.deepEqual(withSums(known, { tokens_in: 7, tokens_out: 0 }).sums, { tokens_in: 7, tokens_out: 0 });
    assert.equal(withSums(known, { tokens_in: 5 }).sums, known);
    assert.equal(withSums(known, { tokens_in: 4 }).sums, known);
    assert.equal(withSums(known, {}).sums, known);
    assert.deepEqual(known, { tokens_in: 5 });
  });

  it("have at most 32 names, of which known ones go on", () => {
    const known = Object.fromEntries(Array.from({ length: MAX_METRICS }, (_, n) => [`m${n}`, 1]));
    assert.deepEqual(withSums(known, { other: 1, m0: 2 }), { sums: { ...known, m0: 2 }, leftOut: 1 });
  });

  it("are numbers from 0 to 2^53 - 1", () => {
    for (const value of [0, 0.5, 2 ** 53 - 1]) assert.ok(isMetricSum(value), String(value));
    for (const value of [-1, -0.1, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])
      assert.ok(!isMetricSum(value), String(value));
  });
});
