import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type QuietRecord, type Signs, stuckOf, type WatchSettings } from "../../tasks/attempts/watchdog.ts";
import type { TaskRecord } from "../../tasks/task.ts";
import type { TimelineEvent } from "../../tasks/timeline.ts";
import { explainActive } from "../task.ts";
import { ago, BEAT, member, NOW, running, TASK } from "../testing/fixture.ts";

const WATCH: WatchSettings = { stuckAfterMs: 30_000, unstartedAfterMs: 0, phasesMs: { load: 20_000 } };

const SIGNS: Signs = {
  runAgeMs: 40_000,
  phase: "load",
  phaseAgeMs: 40_000,
  progressAgeMs: undefined,
  warnAfterMs: undefined,
  reported: [],
};

const quiet = (quietForMs: number, ageMs: number): QuietRecord => ({ quietForMs, ageMs, reason: "compiles" });

describe("a handler that expects to be silent", () => {
  it("is not stuck before its time is over, whoever watches", () => {
    const reported = [{ phase: "load", ageMs: 40_000, stillMs: 40_000, warnAfterMs: 1_000 }];
    for (const signs of [SIGNS, { ...SIGNS, phase: undefined }, { ...SIGNS, reported }]) {
      assert.ok(stuckOf(signs, undefined, WATCH), "without an expectation it is");
      assert.equal(stuckOf({ ...signs, expectation: quiet(60_000, 59_999) }, undefined, WATCH), undefined);
      assert.ok(stuckOf({ ...signs, expectation: quiet(60_000, 60_000) }, undefined, WATCH));
    }
  });

  it("is not stuck below its threshold when its time is over", () => {
    const early = { ...SIGNS, phaseAgeMs: 10_000, expectation: quiet(1_000, 5_000) };
    assert.equal(stuckOf(early, undefined, WATCH), undefined);
  });

  const active: TaskRecord = {
    ...TASK,
    state: "running",
    epoch: 2,
    workerId: "w-1",
    startTime: ago(48_000),
    acceptTime: ago(48_000),
    phase: "load",
    phaseTime: ago(40_000),
  };
  const stuckEvent: TimelineEvent = {
    id: 1,
    time: ago(20_000),
    name: "task.load.stuck",
    epoch: 2,
    workerId: "w-1",
    attributes: { elapsed_ms: "20000", warn_after_s: "20", warning: "1" },
  };

  /** Its explanation, from a heartbeat 4 s ago. */
  function explain(expectation: QuietRecord, task = active, events: readonly TimelineEvent[] = []) {
    const heartbeat = { ...BEAT, running: [{ ...running("t-7.2", "load", 36_000), expectation }] };
    const holder = member({ record: { heartbeat, heartbeatTime: ago(4_000) } });
    const [reason] = explainActive({
      ...{ task, holder, events, watch: WATCH, acceptDeadlineMs: 5_000, now: NOW },
    });
    assert.ok(reason);
    return { ...reason, facts: new Map(reason.evidence.map((each) => [each.key, each])) };
  }

  it("is explained with who said so, why and until when, with the age of the heartbeat", () => {
    const { code, summary, facts } = explain(quiet(60_000, 10_000), active, [stuckEvent]);
    assert.equal(code, "RUNNING");
    assert.match(
      summary,
      /its handler said 14 s ago that it will be silent for up to 60 s \(compiles\), until 2025-06-01T12:00:46.000Z/,
    );
    assert.deepEqual(facts.get("quiet_until"), {
      ...{ key: "quiet_until", value: "2025-06-01T12:00:46.000Z", source: "heartbeat", ageMs: 4_000 },
    });
    assert.equal(facts.get("quiet_reason")?.value, "compiles");
  });

  it("is explained as stuck when its time is over", () => {
    const { code, summary } = explain(quiet(10_000, 10_000));
    assert.equal(code, "STUCK_IN_PHASE");
    assert.match(
      summary,
      /its handler had said .* silent for up to 10 s \(compiles\), which was over 4 s ago/,
    );
  });

  it("says nothing of an expectation that newer progress has ended", () => {
    const moved = { ...active, progress: { fraction: 0.5, message: "", at: ago(1_000) } };
    assert.doesNotMatch(explain(quiet(60_000, 10_000), moved).summary, /silent/);
  });
});
