import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type AdaptiveConcurrency, compileAdaptive } from "../options/task-types/adaptive-concurrency.ts";
import { ManualClock } from "../testing/manual-clock.ts";
import { AdaptiveLimit } from "./adaptive-limit.ts";

function limitOf(concurrency: AdaptiveConcurrency<never>) {
  const clock = new ManualClock();
  const settings = compileAdaptive(concurrency, 10_000);
  assert.ok(settings);
  const limit = new AdaptiveLimit(settings, clock);
  /** Runs as many attempts as the limit allows, again and again, for a window; true when the limit has changed. */
  const window = ({
    runMs = 100,
    failed = 0,
    at = limit.current,
    targetMs = undefined as number | undefined,
  } = {}) => {
    const rounds = Array.from({ length: Math.max(10, limit.current) }, () => limit.began(at));
    clock.advance(10_000);
    return rounds
      .map((round, index) => limit.ended({ round, runMs, failed: index < failed, targetMs }))
      .includes(true);
  };
  return { clock, limit, window };
}

describe("an adaptive limit", () => {
  it("rises while as many run as it allows, with the reason and the time of the change", () => {
    const { clock, limit, window } = limitOf({ max: 3 });
    assert.deepEqual(limit.report, {
      ...{ limit: 1, min: 1, max: 3, previous: 0, reason: "", changedMs: undefined },
    });
    assert.ok(window());
    assert.deepEqual(limit.report, {
      ...{ limit: 2, min: 1, max: 3, previous: 1, changedMs: clock.monotonicMs() },
      reason: "as many ran at once as it allowed, 0 of 5 attempts failed, and the median took 100 ms",
    });
    assert.ok(window());
    assert.ok(!window(), "at its bound");
    assert.equal(limit.current, 3);
  });

  it("stays while fewer run than it allows", () => {
    const { limit, window } = limitOf({ min: 2, max: 9 });
    assert.ok(!window({ at: 1 }));
    assert.equal(limit.current, 2);
  });

  it("falls when attempts fail or are slow, and says by how much", () => {
    const { limit, window } = limitOf({ min: 1, max: 20, start: 10 });
    window();
    assert.equal(limit.current, 11);
    assert.ok(window({ failed: 3 }));
    assert.deepEqual([limit.current, limit.report.reason], [7, "3 of 11 attempts failed, more than 10 %"]);
    assert.ok(window({ runMs: 2_500 }));
    assert.deepEqual(
      [limit.current, limit.report.reason],
      [4, "of 7 attempts the median took 2.5 s, more than 1.5 times the 100 ms while few ran"],
    );
  });

  it("compares with the target of each attempt", () => {
    const { limit, window } = limitOf({ max: 20, start: 10, targetS: ({ pages }: never) => pages });
    assert.ok(window({ runMs: 900, targetMs: 1_000 }));
    assert.equal(limit.current, 11);
    assert.ok(window({ runMs: 1_300, targetMs: 1_000 }));
    assert.deepEqual(
      [limit.current, limit.report.reason],
      [7, "of 11 attempts the median took 130 % of its target"],
    );
  });

  it("counts no attempt that began before the last change", () => {
    const { clock, limit, window } = limitOf({ max: 9, start: 5 });
    const early = Array.from({ length: 20 }, () => limit.began(5));
    window();
    assert.equal(limit.current, 6);
    clock.advance(20_000);
    for (const round of early)
      assert.ok(!limit.ended({ round, runMs: 100, failed: true, targetMs: undefined }));
    assert.equal(limit.current, 6);
  });

  it("does not change before its window is over, nor with fewer attempts than a round", () => {
    const { clock, limit } = limitOf({ max: 9, windowS: 60 });
    const end = () => limit.ended({ round: limit.began(9), runMs: 1, failed: false, targetMs: undefined });
    for (let count = 0; count < 50; count++) assert.ok(!end());
    clock.advance(60_000);
    assert.ok(end());
    clock.advance(600_000);
    for (let count = 0; count < 4; count++) assert.ok(!end());
    assert.ok(end());
  });
});
