import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { passedAtResult, passedTimeout, type RunAges } from "./hard-timeout.ts";

const TIMEOUTS = { runMs: 60_000, phasesMs: { load: 10_000 } };

describe("a hard timeout", () => {
  const ages = (fields: Partial<RunAges>): RunAges => ({
    ...{ runAgeMs: 20_000, phase: "load", phaseAgeMs: 15_000 },
    ...fields,
  });

  it("is that of the task, unless the worker has set one for the phase", () => {
    assert.equal(passedTimeout(ages({}), TIMEOUTS)?.limitMs, 10_000);
    assert.equal(passedTimeout(ages({ phaseLimitMs: 15_000 }), TIMEOUTS), undefined, "more time");
    assert.equal(passedTimeout(ages({ phaseLimitMs: 14_999 }), TIMEOUTS)?.limitMs, 14_999);
    assert.equal(passedTimeout(ages({ phaseLimitMs: 0 }), TIMEOUTS), undefined, "none");
    assert.equal(
      passedTimeout(ages({ phaseLimitMs: 5_000 }), undefined)?.limitMs,
      5_000,
      "the task has none",
    );
    assert.equal(passedTimeout(ages({ phase: undefined, phaseLimitMs: 5_000 }), TIMEOUTS), undefined);
  });

  it("of the run stays, whatever a handler gives its phase", () => {
    const passed = passedTimeout(ages({ runAgeMs: 60_001, phaseLimitMs: 0 }), TIMEOUTS);
    assert.deepEqual([passed?.phase, passed?.limitMs], [undefined, 60_000]);
  });

  it("is compared at the result with the limit that held at the end of each phase", () => {
    const at = (timeoutMs: number | undefined, durationMs = 15_000) => {
      const timing = { phase: "load", durationMs, failed: false };
      const phases = [timeoutMs === undefined ? timing : { ...timing, timeoutMs }];
      const metrics = { runMs: 20_000, phases, peakRssBytes: 0 };
      return passedAtResult(ages({ phase: undefined, phaseAgeMs: 0 }), undefined, metrics, TIMEOUTS)?.limitMs;
    };
    assert.deepEqual([at(undefined), at(20_000), at(12_000), at(0)], [10_000, undefined, 12_000, undefined]);
  });
});
