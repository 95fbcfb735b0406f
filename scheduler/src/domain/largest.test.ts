import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { largest } from "./largest.ts";

test("the first of an order are those that a sort would put there, ties in their order", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 9 }), fc.nat())), fc.nat(12), (items, count) => {
      const byFirst = (a: [number, number], b: [number, number]) => b[0] - a[0];
      assert.deepEqual(largest(items, count, byFirst), items.toSorted(byFirst).slice(0, count));
    }),
  );
});
