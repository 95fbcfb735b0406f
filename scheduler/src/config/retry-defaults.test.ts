import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseBackoff } from "./retry-defaults.ts";

describe("the setting of the waits before retries", () => {
  it("is a list of waits in seconds", () => {
    assert.deepEqual(parseBackoff("60, 300,0.5"), { kind: "fixed", delaysMs: [60_000, 300_000, 500] });
    assert.deepEqual(parseBackoff("0"), { kind: "fixed", delaysMs: [0] });
  });

  it("is one wait with the parts by which it grows; those that it leaves out are those of a task's policy", () => {
    assert.deepEqual(parseBackoff("1,factor=3,max=60,jitter=0.2"), {
      ...{ kind: "exponential", initialMs: 1_000, factor: 3, maxMs: 60_000, jitter: 0.2 },
    });
    assert.deepEqual(parseBackoff("2,jitter=0"), {
      ...{ kind: "exponential", initialMs: 2_000, factor: 2, maxMs: 3_600_000, jitter: 0 },
    });
  });

  it("refuses everything else by name", () => {
    for (const [text, message] of [
      ["", /^"" is not a wait of 0 to 31622400 seconds, for example 60,300,1800/],
      ["60,", /^"" is not a wait/],
      ["1m", /^"1m" is not a wait/],
      ["-1", /^"-1" is not a wait/],
      ["31622401", /is not a wait/],
      ["Infinity", /is not a wait/],
      [Array(101).fill("1").join(), /^has 101 waits; at most 100 are allowed$/],
      ["0,factor=2", /grows from 0/],
      ["factor=2", /is not one wait and the parts/],
      ["1,2,factor=2", /is not one wait and the parts/],
      ["1,speed=2", /^"speed=2" is none of: factor, max, jitter/],
      ["1,factor=0.5", /^"factor=0.5" is not a number between 1 and 100$/],
      ["1,jitter=", /^"jitter=" is not a number between 0 and 1$/],
      ["1,max=NaN", /^"max=NaN" is not a number/],
    ] as const)
      assert.throws(() => parseBackoff(text), { name: "RangeError", message }, text);
  });
});
