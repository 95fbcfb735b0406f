import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type HealthFacts, liveness, readiness } from "./health.ts";

const WELL: HealthFacts = {
  registered: true,
  connected: true,
  lastError: "",
  unansweredMs: 10,
  answerWithinMs: 15_000,
  ready: true,
  lastPhase: "ready",
  draining: false,
  paused: undefined,
  loopAgeMs: 0,
  blockedLimitMs: 3_600_000,
};

describe("a worker's readiness", () => {
  it("asks for registration, an answering stream, the phase ready, and no drain", () => {
    assert.deepEqual(readiness(WELL).failed, []);
    const cases: readonly [Partial<HealthFacts>, readonly string[]][] = [
      [{ registered: false, connected: false, ready: false }, ["registered", "stream", "ready"]],
      [{ connected: false }, ["stream"]],
      [{ unansweredMs: 15_001 }, ["stream"]],
      [{ ready: false, lastPhase: "cache_preflight_started" }, ["ready"]],
      [{ draining: true }, ["draining"]],
      [{ paused: "GPU busy" }, []],
      [{ loopAgeMs: 60_000 }, []],
    ];
    for (const [facts, failed] of cases)
      assert.deepEqual(readiness({ ...WELL, ...facts }).failed, failed, JSON.stringify(facts));
  });

  it("says why", () => {
    const away = readiness({ ...WELL, connected: false, lastError: "127.0.0.1:7070: UNAVAILABLE" });
    assert.match(away.checks.stream?.detail ?? "", /no stream: 127\.0\.0\.1:7070: UNAVAILABLE/);
    const starting = readiness({ ...WELL, ready: false, lastPhase: "custom:warm-up" });
    assert.match(starting.checks.ready?.detail ?? "", /custom:warm-up/);
  });
});

describe("a worker's liveness", () => {
  it("accepts a blocked main loop up to the limit, and always without one", () => {
    assert.equal(liveness(WELL).ok, true);
    assert.equal(liveness({ ...WELL, loopAgeMs: 3_600_000 }).ok, true);
    const blocked = liveness({ ...WELL, loopAgeMs: 3_600_001 });
    assert.deepEqual([blocked.ok, blocked.failed], [false, ["main_loop"]]);
    assert.match(blocked.checks.main_loop?.detail ?? "", /3600001 ms; the limit is 3600000 ms/);
    assert.equal(liveness({ ...WELL, loopAgeMs: 1e9, blockedLimitMs: 0 }).ok, true);
  });

  it("does not ask for the scheduler", () => {
    assert.equal(liveness({ ...WELL, registered: false, connected: false, ready: false }).ok, true);
  });
});
