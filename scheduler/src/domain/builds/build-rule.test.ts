import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { isOfRamp, ruleInWords, serves, servesSome, sidesOf, sidesOfTask, wishOf } from "./build-rule.ts";

describe("the build rule of a queue", () => {
  const ramp = { build: "13", share: 0.1 };

  it("divides ids in a row evenly, and a task that is of a ramp stays so while the ramp grows", () => {
    for (const share of [0.001, 0.1, 0.5, 0.9]) {
      for (const step of [1, 2, 7, 10]) {
        const ids = Array.from({ length: 10_000 }, (_, index) => 5_000_000_000 + index * step);
        const count = ids.filter((id) => isOfRamp(id, share)).length;
        assert.ok(
          Math.abs(count - share * 10_000) <= 20,
          `${count} of 10000 for ${share} in steps of ${step}`,
        );
      }
    }
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.double({ min: 0.01, max: 0.5, noNaN: true }), (id, share) => {
        if (isOfRamp(id, share)) assert.ok(isOfRamp(id, share * 1.5));
      }),
    );
  });

  it("holds a pin whether or not its build runs, and a ramp only while nothing waits for it", () => {
    const running = (...builds: string[]) => new Set(builds);
    assert.deepEqual(sidesOf({ pin: "12" }, running()), { rest: { is: "12" } });
    assert.deepEqual(sidesOf({ ramp }, running("12", "13")), { rest: { isNot: "13" }, ramp });
    assert.deepEqual(sidesOf({ ramp }, running("", "13")), { rest: { isNot: "13" }, ramp });
    assert.equal(sidesOf({ ramp }, running("12")), undefined, "the build of the ramp is gone");
    assert.equal(sidesOf({ ramp }, running("13")), undefined, "no other build is left");
    assert.deepEqual(sidesOf({ pin: "12", ramp }, running("12")), { rest: { is: "12" } });
    assert.deepEqual(sidesOf({ pin: "12", ramp }, running("13")), { rest: { is: "12" }, ramp });
  });

  it("says of each worker which tasks it may run", () => {
    const sides = sidesOf({ pin: "12", ramp }, new Set(["12", "13", "14"]));
    assert.ok(sides);
    assert.deepEqual(
      ["12", "13", "14", ""].map((build) => servesSome(sides, build)),
      [true, true, false, false],
    );
    for (let id = 1; id < 100; id++) {
      const wanted = isOfRamp(id, 0.1) ? "13" : "12";
      assert.deepEqual(wishOf(sides, id), { is: wanted });
      assert.deepEqual(
        ["12", "13"].map((build) => servesSome(sidesOfTask(sides, id) ?? { rest: undefined }, build)),
        ["12", "13"].map((build) => build === wanted),
      );
    }
    assert.ok(serves({ isNot: "13" }, "") && !serves({ isNot: "13" }, "13") && serves(undefined, "x"));
  });

  it("is named in words", () => {
    assert.equal(
      ruleInWords({ pin: "12", ramp }),
      "pinned to build 12, and 10 % of its tasks go to build 13",
    );
  });
});
