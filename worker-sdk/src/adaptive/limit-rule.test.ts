import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type LimitRules, type LimitState, type LimitWindow, nextLimit, samplesFor } from "./limit-rule.ts";

const rulesOf = (rules: Partial<LimitRules> = {}): LimitRules => ({
  ...{ min: 1, max: 64, maxFailureShare: 0.1, hasTarget: false },
  ...rules,
});

const anyRules: fc.Arbitrary<LimitRules> = fc
  .record({
    bounds: fc.tuple(fc.integer({ min: 1, max: 10_000 }), fc.integer({ min: 1, max: 10_000 })),
    maxFailureShare: fc.double({ min: 0, max: 1, noNaN: true }),
    hasTarget: fc.boolean(),
  })
  .map(({ bounds: [a, b], ...rest }) => ({ min: Math.min(a, b), max: Math.max(a, b), ...rest }));

const anyWindow: fc.Arbitrary<LimitWindow> = fc
  .record({
    finished: fc.nat(1_000),
    failedShare: fc.double({ min: 0, max: 1, noNaN: true }),
    median: fc.option(fc.double({ min: 0, max: 1e9, noNaN: true }), { nil: undefined }),
    full: fc.boolean(),
  })
  .map(({ finished, failedShare, ...rest }) => ({
    ...{ finished, failed: Math.floor(finished * failedShare) },
    ...rest,
  }));

/** The limit after these windows. */
function after(state: LimitState, windows: readonly LimitWindow[], rules: LimitRules): LimitState {
  return windows.reduce<LimitState>((now, window) => nextLimit(now, window, rules), state);
}

describe("the rule of an adaptive limit", () => {
  it("stays within its bounds, and its baseline is a time, whatever is measured", () => {
    fc.assert(
      fc.property(anyRules, fc.array(anyWindow, { maxLength: 50 }), (rules, windows) => {
        let state: LimitState = { limit: rules.min, baseline: undefined };
        for (const window of windows) {
          const next = nextLimit(state, window, rules);
          assert.ok(Number.isInteger(next.limit) && next.limit >= rules.min && next.limit <= rules.max);
          assert.ok(next.baseline === undefined || (next.baseline >= 0 && Number.isFinite(next.baseline)));
          assert.equal(
            next.cause !== undefined,
            next.limit !== state.limit,
            "a change has a cause, and only a change",
          );
          assert.equal(next.cause === "full", next.limit > state.limit);
          assert.deepEqual(nextLimit(state, window, rules), next, "it depends on nothing else");
          state = next;
        }
      }),
    );
  });

  it("never rises with too many failures, nor while no more tasks come than it allows", () => {
    fc.assert(
      fc.property(anyRules, anyWindow, fc.nat(10_000), (rules, window, above) => {
        const limit = Math.min(rules.max, rules.min + above);
        const next = nextLimit({ limit, baseline: 1 }, window, rules);
        if (!window.full || window.failed / window.finished > rules.maxFailureShare)
          assert.ok(next.limit <= limit);
      }),
    );
  });

  it("falls by less than a third and one, and rises by at most a tenth and one", () => {
    fc.assert(
      fc.property(anyRules, anyWindow, fc.nat(10_000), (rules, window, above) => {
        const limit = Math.min(rules.max, rules.min + above);
        const next = nextLimit({ limit, baseline: 1 }, window, rules);
        assert.ok(next.limit > limit * 0.7 - 1 - 1e-9 && next.limit <= limit * 1.1 + 1);
      }),
    );
  });

  it("reaches its bounds in few windows", () => {
    const good = { finished: 10, failed: 0, median: 100, full: true };
    const bad = { finished: 10, failed: 5, median: 100, full: true };
    const rules = rulesOf({ max: 100 });
    assert.equal(after({ limit: 1, baseline: undefined }, Array(38).fill(good), rules).limit, 100);
    assert.equal(after({ limit: 100, baseline: 100 }, Array(13).fill(bad), rules).limit, 1);
  });

  it("names failures before slowness, and neither at the least limit", () => {
    const both = { finished: 10, failed: 2, median: 1_000, full: true };
    assert.equal(nextLimit({ limit: 8, baseline: 100 }, both, rulesOf()).cause, "failures");
    assert.equal(nextLimit({ limit: 8, baseline: 100 }, { ...both, failed: 1 }, rulesOf()).cause, "slow");
    assert.deepEqual(nextLimit({ limit: 1, baseline: 100 }, both, rulesOf()), {
      ...{ limit: 1, baseline: 100, cause: undefined },
    });
  });

  it("takes what is slow at the least limit as the usual time, unless a target says otherwise", () => {
    const slow = { finished: 10, failed: 0, median: 1_000, full: true };
    assert.deepEqual(nextLimit({ limit: 1, baseline: 100 }, slow, rulesOf()), {
      ...{ limit: 2, baseline: 1_000, cause: "full" },
    });
    const target = rulesOf({ hasTarget: true });
    assert.equal(nextLimit({ limit: 1, baseline: undefined }, { ...slow, median: 1.1 }, target).limit, 1);
    assert.equal(
      nextLimit({ limit: 4, baseline: undefined }, { ...slow, median: 1.1 }, target).cause,
      "slow",
    );
    assert.equal(
      nextLimit({ limit: 4, baseline: undefined }, { ...slow, median: 0.9 }, target).cause,
      "full",
    );
  });

  it("settles near what a program can do: between all processors and half more", () => {
    for (const cores of [2, 4, 16]) {
      const rules = rulesOf({ max: 200 });
      let state: LimitState = { limit: 1, baseline: undefined };
      const settled: number[] = [];
      for (let window = 0; window < 400; window++) {
        // Bound by its processors: above them, times are proportional to what runs at once.
        const median = 100 * Math.max(1, state.limit / cores);
        state = nextLimit(state, { finished: 20, failed: 0, median, full: true }, rules);
        if (window >= 100) settled.push(state.limit);
      }
      assert.ok(Math.min(...settled) >= cores * 0.9, `${cores}: ${Math.min(...settled)}`);
      assert.ok(Math.max(...settled) <= cores * 1.7 + 1, `${cores}: ${Math.max(...settled)}`);
    }
  });

  it("finds its way back when all attempts have become slower", () => {
    const rules = rulesOf({ max: 8 });
    const before = { finished: 10, failed: 0, median: 100, full: true };
    const settled = after({ limit: 1, baseline: undefined }, Array(10).fill(before), rules);
    assert.equal(settled.limit, 8);
    const slower = after(settled, Array(20).fill({ ...before, median: 1_000 }), rules);
    assert.deepEqual([slower.limit, slower.baseline], [8, 1_000]);
  });

  it("settles below what another system takes before it refuses", () => {
    const rules = rulesOf({ max: 200 });
    let state: LimitState = { limit: 1, baseline: undefined };
    const settled: number[] = [];
    for (let window = 0; window < 400; window++) {
      const refused = Math.max(0, 1 - 30 / state.limit);
      state = nextLimit(
        state,
        { finished: 100, failed: Math.round(100 * refused), median: 100, full: true },
        rules,
      );
      if (window >= 100) settled.push(state.limit);
    }
    assert.ok(
      Math.min(...settled) >= 20 && Math.max(...settled) <= 37,
      `${Math.min(...settled)} to ${Math.max(...settled)}`,
    );
  });

  it("needs a round of attempts for a window, at least 5 and at most 100", () => {
    assert.deepEqual([1, 5, 12, 100, 5_000].map(samplesFor), [5, 5, 12, 100, 100]);
  });
});
