import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { SlotReleaseRecord } from "../../domain/tasks/attempts/slot-release.ts";
import type { HeartbeatRecord } from "../../domain/workers/worker.ts";
import { madeAttempt } from "../testing/made-attempt.ts";
import { madeSession } from "../testing/made-session.ts";
import { stuckAttempt } from "./attempt-watch.ts";
import { SlotReports } from "./slot-reports.ts";

const KEY = { taskId: 1, epoch: 1 };
const WAIT: SlotReleaseRecord = {
  ...{ ageMs: 0, taskIds: ["t-2"], taskCount: 1, reason: "", returning: false },
};
const RETURNING = { ...WAIT, taskIds: [], taskCount: 0, returning: true };

function made(fields: Parameters<typeof madeAttempt>[0] = { acceptedAt: 0, startedAt: 0 }) {
  const session = madeSession({ types: { t: 0 } });
  const attempt = madeAttempt(fields);
  session.hold(attempt, false);
  const seen = { rooms: 0, events: [] as string[], warnings: [] as string[], now: 0 };
  const reports = new SlotReports({
    clock: { monotonic: () => seen.now },
    eventWriter: { appendEvent: ({ name }) => void seen.events.push(name) },
    log: { warn: (event) => void seen.warnings.push(event) },
    onRoom: () => void seen.rooms++,
  });
  return { session, attempt, seen, reports };
}

function beat(slotRelease?: SlotReleaseRecord): HeartbeatRecord {
  const running = { attemptId: "t-1.1", phase: "", ...(slotRelease ? { slotRelease } : {}) };
  return { running: [running] } as unknown as HeartbeatRecord;
}

describe("reports of slots", () => {
  it("free the place at once, and take it before the attempt has it, when its wait is over", () => {
    const { session, attempt, seen, reports } = made();
    assert.equal(session.credit, 0);
    reports.handle(session, KEY, WAIT);
    assert.deepEqual([session.credit, seen.rooms, attempt.state], [1, 1, "released"]);
    reports.handle(session, KEY, RETURNING);
    assert.deepEqual([session.credit, seen.rooms, attempt.state, attempt.isWaiting], [0, 1, "running", true]);
    reports.handle(session, KEY, undefined);
    assert.deepEqual([session.credit, attempt.isWaiting], [0, false]);
    assert.deepEqual(seen.events, ["task.slot.released", "task.slot.taken"]);
  });

  it("may use more than the worker has, when others came in meanwhile", () => {
    const { session, reports } = made();
    reports.handle(session, KEY, WAIT);
    session.hold(madeAttempt({ taskId: 2 }), false);
    reports.handle(session, KEY, RETURNING);
    assert.equal(session.credit, -1);
  });

  it("that are lost are made up for by heartbeats, in both directions", () => {
    const { session, attempt, seen, reports } = made();
    reports.noteBeat(session, beat(WAIT));
    assert.deepEqual([session.credit, seen.rooms], [1, 1]);
    reports.noteBeat(session, beat(WAIT));
    assert.deepEqual([session.credit, seen.rooms], [1, 1]);
    reports.noteBeat(session, beat());
    assert.deepEqual([session.credit, attempt.isWaiting], [0, false]);
    assert.deepEqual(seen.events, ["task.slot.released", "task.slot.taken"]);
  });

  it("of attempts that do not run, or are no longer the session's, change nothing", () => {
    const early = made({ acceptedAt: 0 });
    early.reports.handle(early.session, KEY, WAIT);
    const late = made();
    late.reports.handle(late.session, { taskId: 1, epoch: 2 }, WAIT);
    late.session.startCommit(late.attempt, true);
    late.reports.handle(late.session, KEY, WAIT);
    late.reports.noteBeat(late.session, beat(WAIT));
    for (const { session, seen, attempt } of [early, late]) {
      assert.deepEqual([seen.rooms, seen.events, session.releasedCount], [0, [], 0]);
      assert.notEqual(attempt.state, "released");
    }
  });

  it("keep the attempt from counting as stuck, whose silence counts anew afterwards", () => {
    const { session, attempt, seen, reports } = made();
    const settings = { stuckAfterMs: 60_000, unstartedAfterMs: 0, phasesMs: {} };
    const isStuck = () => stuckAttempt(attempt, settings, seen.now) !== undefined;
    reports.handle(session, KEY, WAIT);
    seen.now = 100_000;
    assert.equal(isStuck(), false);
    reports.handle(session, KEY, RETURNING);
    assert.equal(isStuck(), false);
    reports.handle(session, KEY, undefined);
    assert.equal(isStuck(), false);
    seen.now = 159_000;
    assert.equal(isStuck(), false);
    seen.now = 161_000;
    assert.equal(isStuck(), true);
  });

  it("of one attempt too many are logged once, and it keeps its place", () => {
    const { session, seen, reports } = made();
    for (let taskId = 2; taskId <= 1_002; taskId++) {
      session.hold(madeAttempt({ taskId, acceptedAt: 0, startedAt: 0 }), false);
      reports.handle(session, { taskId, epoch: 1 }, WAIT);
    }
    assert.equal(session.releasedCount, 1_001);
    reports.handle(session, KEY, WAIT);
    reports.handle(session, KEY, WAIT);
    assert.deepEqual([session.credit, session.releasedCount], [0, 1_001]);
    assert.deepEqual(seen.warnings, ["task.slot.kept"]);
  });
});
