import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  allowance,
  backoffMs,
  type GuardRecord,
  type GuardRule,
  NEVER_ACCEPTS,
  NEW_GUARD,
  probing,
  withAccepted,
  withoutProbe,
  withStart,
} from "./guard.ts";

const RULE: GuardRule = {
  windowMs: 600_000,
  minSamples: 3,
  failureRate: 0.5,
  firstBackoffMs: 30_000,
  maxBackoffMs: 900_000,
  maxUnaccepted: 3,
};

const failed = (guard: GuardRecord, atMs: number, cause = "EXITED", healthy = 0, launchId = `f-${atMs}`) =>
  withStart(guard, RULE, { atMs, launchId, cause }, healthy);
const succeeded = (guard: GuardRecord, atMs: number, launchId = `s-${atMs}`) =>
  withStart(guard, RULE, { atMs, launchId, cause: undefined }, 0);

function openedAt(atMs: number): GuardRecord {
  return [0, 1, 2].reduce((guard, n) => failed(guard, atMs - 2 + n), NEW_GUARD);
}

describe("the guard of a pool", () => {
  it("opens after the least number of starts with the failure rate, and says counts, cause and probe", () => {
    const two = failed(failed(NEW_GUARD, 1, "EXITED"), 2, "CANNOT_REACH");
    assert.equal(two.now.state, "closed");
    const { now } = failed(two, 3, "CANNOT_REACH");
    assert.deepEqual(now, {
      state: "open",
      ...{ sinceMs: 3, probeMs: 30_003, openings: 1, starts: 3, failed: 3 },
      ...{ cause: "CANNOT_REACH", causeCount: 2, exampleLaunchId: "f-3" },
    });
  });

  it("stays closed below the failure rate, and forgets starts before the window", () => {
    let guard = succeeded(succeeded(NEW_GUARD, 1), 2);
    guard = failed(guard, 3);
    assert.equal(guard.now.state, "closed", "1 of 3");
    guard = failed(failed(NEW_GUARD, 1), 2);
    guard = failed(guard, 2 + RULE.windowMs);
    assert.equal(guard.now.state, "closed", "one within the window");
    assert.equal(guard.samples.length, 1);
  });

  it("counts a start that became ready and then failed once, as failed", () => {
    let guard = NEW_GUARD;
    for (const id of ["a", "b", "c"]) guard = succeeded(guard, 1, id);
    for (const id of ["a", "b"]) guard = failed(guard, 2, NEVER_ACCEPTS, 0, id);
    const { now } = guard;
    assert.deepEqual([now.state, now.state === "open" && [now.failed, now.starts]], ["open", [2, 3]]);
  });

  it("is not closed by a probe that is only ready where workers never accept, and is by one that has accepted", () => {
    const open = [1, 2, 3].reduce((guard, at) => failed(guard, at, NEVER_ACCEPTS), NEW_GUARD);
    const probe = succeeded(probing(open, "probe"), 40_000, "probe");
    assert.equal(probe.now.state, "half_open");
    const again = failed(probe, 41_000, NEVER_ACCEPTS, 0, "probe");
    assert.deepEqual([again.now.state, again.now.state === "open" && again.now.openings], ["open", 2]);
    assert.deepEqual(withAccepted(probe, "probe", 42_000).now, { state: "closed" });
    const other = openedAt(10);
    assert.equal(withAccepted(other, "probe", 42_000), other, "of another cause a ready worker is the proof");
  });

  it("weighs each healthy worker as a start that succeeded", () => {
    let guard = NEW_GUARD;
    for (let n = 1; n <= 4; n++) guard = failed(guard, n, "EXITED", 5);
    assert.equal(guard.now.state, "closed", "4 of 9");
    assert.equal(failed(guard, 5, "EXITED", 5).now.state, "open", "5 of 10");
  });

  it("lets one probe through when its time has come, and waits for it", () => {
    const guard = openedAt(1_000);
    assert.equal(allowance(guard, 30_999), "none");
    assert.equal(allowance(guard, 31_000), "probe");
    const half = probing(guard, "probe-1");
    assert.equal(half.now.state, "half_open");
    assert.equal(allowance(half, 10_000_000), "none");
  });

  it("doubles the wait with each probe that fails, up to the longest", () => {
    let guard = openedAt(1_000);
    const waits: number[] = [];
    for (let n = 1; n <= 7; n++) {
      const at = guard.now.state === "open" ? guard.now.probeMs : 0;
      guard = failed(probing(guard, `probe-${n}`), at, "EXITED", 0, `probe-${n}`);
      waits.push(guard.now.state === "open" ? guard.now.probeMs - at : -1);
    }
    assert.deepEqual(waits, [60_000, 120_000, 240_000, 480_000, 900_000, 900_000, 900_000]);
    assert.equal(
      guard.now.state === "open" && guard.now.sinceMs,
      1_000,
      "it has been open since the first time",
    );
  });

  it("ignores failures of launches from before it opened, and closes with any success", () => {
    const half = probing(openedAt(1_000), "probe-1");
    assert.equal(failed(half, 2_000, "EXITED", 0, "an-earlier-one").now.state, "half_open");
    const closed = succeeded(half, 3_000, "probe-1");
    assert.deepEqual(closed.now, { state: "closed" });
    assert.equal(closed.samples.length, 1, "the failures before count no more");
    assert.equal(succeeded(openedAt(1_000), 2_000, "an-earlier-one").now.state, "closed");
  });

  it("is open again for the next probe when a probe was stopped as planned", () => {
    const half = probing(openedAt(1_000), "probe-1");
    assert.equal(allowance(withoutProbe(half, "probe-1", 5_000), 5_000), "probe");
    assert.equal(withoutProbe(half, "another", 5_000), half);
  });

  it("bounds the launches of a pool in which every start fails", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 60 }), (startMs, hours) => {
        let guard: GuardRecord = NEW_GUARD;
        let launches = 0;
        const endMs = hours * 3_600_000;
        for (let nowMs = 0; nowMs <= endMs; nowMs += 1_000) {
          const allowed = allowance(guard, nowMs);
          if (allowed === "none") continue;
          const launchId = `l-${launches++}`;
          if (allowed === "probe") guard = probing(guard, launchId);
          guard = withStart(guard, RULE, { atMs: nowMs + startMs, launchId, cause: "EXITED" }, 0);
        }
        // Until it opens, while the wait grows, then four an hour.
        assert.ok(launches <= RULE.minSamples + 6 + 4 * hours + 1, `${launches} launches in ${hours} h`);
      }),
      { numRuns: 20 },
    );
  });

  it("never waits longer than the longest backoff", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10_000 }), (openings) => {
        const wait = backoffMs(RULE, openings);
        assert.ok(wait >= RULE.firstBackoffMs && wait <= RULE.maxBackoffMs, String(wait));
      }),
    );
  });
});
