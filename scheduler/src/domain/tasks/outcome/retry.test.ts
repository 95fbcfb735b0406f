import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { backoffMs, DEFAULT_RETRY_POLICY } from "./retry.ts";

const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

describe("backoff", () => {
  it("is 1, 5 and 30 minutes by default, and stays at 30", () => {
    const waits = [1, 2, 3, 4, 100].map((retry) => backoffMs(DEFAULT_RETRY_POLICY.backoff, retry, 0.5));
    assert.deepEqual(waits, [60_000, 300_000, 1_800_000, 1_800_000, 1_800_000]);
  });

  it("is none for an empty list", () => {
    assert.equal(backoffMs({ kind: "fixed", delaysMs: [] }, 3, 0), 0);
  });

  it("grows exponentially to its maximum, and jitter only shortens it", () => {
    const exponential = fc.record({
      kind: fc.constant("exponential" as const),
      initialMs: fc.integer({ min: 1, max: 100_000 }),
      factor: fc.double({ min: 1, max: 100, noNaN: true }),
      maxMs: fc.integer({ min: 0, max: 31_622_400_000 }),
      jitter: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    fc.assert(
      fc.property(exponential, fc.integer({ min: 1, max: 1_000 }), random, (backoff, retry, chance) => {
        const wait = backoffMs(backoff, retry, chance);
        const full = backoffMs({ ...backoff, jitter: 0 }, retry, 0);
        assert.ok(Number.isInteger(wait) && wait >= 0 && wait <= full && full <= backoff.maxMs);
        assert.ok(wait >= Math.floor(full * (1 - backoff.jitter)) - 1);
        assert.ok(backoffMs({ ...backoff, jitter: 0 }, retry + 1, 0) >= full, "it never shrinks");
        assert.equal(
          backoffMs({ ...backoff, jitter: 0 }, 1, chance),
          Math.min(backoff.maxMs, backoff.initialMs),
        );
      }),
    );
  });

  it("is always one of a fixed list's", () => {
    const delays = fc.array(fc.integer({ min: 0, max: 1e9 }), { minLength: 1, maxLength: 10 });
    fc.assert(
      fc.property(delays, fc.integer({ min: 1, max: 50 }), random, (delaysMs, retry, chance) => {
        const wait = backoffMs({ kind: "fixed", delaysMs }, retry, chance);
        assert.equal(wait, delaysMs[Math.min(retry, delaysMs.length) - 1]);
      }),
    );
  });
});
