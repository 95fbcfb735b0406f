import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { OTHER, Tally } from "./tally.ts";

describe("Tally", () => {
  it("counts by value, from 0 for known ones", () => {
    const tally = new Tally(10, ["late"]);
    tally.add("early");
    tally.add("early", 4);
    assert.deepEqual(Object.fromEntries(tally), { [OTHER]: 0, late: 0, early: 5 });
  });

  it("calls what comes after the limit other, and loses none of it", () => {
    const tally = new Tally(2);
    for (let n = 0; n < 1_000; n++) tally.add(`CODE_${n}`);
    tally.add("CODE_0");
    assert.deepEqual(Object.fromEntries(tally), { [OTHER]: 998, CODE_0: 2, CODE_1: 1 });
  });

  it("cuts values that are no codes", () => {
    const tally = new Tally(2);
    tally.add("x".repeat(10_000));
    assert.deepEqual(
      [...tally].map(([value]) => value.length),
      [OTHER.length, 100],
    );
  });
});
