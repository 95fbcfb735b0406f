import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { quantile } from "./quantile.ts";

describe("a quantile of counted values", () => {
  const bounds = [1, 10, 100];

  it("is interpolated within its bucket", () => {
    assert.equal(quantile(bounds, [0, 10, 0, 0], 0.5), 5.5);
    assert.equal(quantile(bounds, [50, 0, 50, 0], 0.5), 1);
    assert.equal(quantile(bounds, [50, 0, 50, 0], 0.75), 55);
  });

  it("is the last bound for what is above it", () => {
    assert.equal(quantile(bounds, [0, 0, 0, 3], 0.95), 100);
  });

  it("is unknown without values, and of other buckets", () => {
    assert.equal(quantile(bounds, [0, 0, 0, 0], 0.5), undefined);
    assert.equal(quantile(bounds, [1, 2], 0.5), undefined);
  });
});
