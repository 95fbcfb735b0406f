import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { noteBeat } from "../dispatch/attempts/attempt-watch.ts";
import { madeAttempt } from "../dispatch/testing/made-attempt.ts";
import { madeSession } from "../dispatch/testing/made-session.ts";
import { recordedLog } from "../dispatch/testing/recorded-log.ts";
import type { Mode } from "../domain/mechanisms/mechanism.ts";
import { madeBeat, madeRunning } from "../domain/testing/made-records.ts";
import type { HeartbeatRecord } from "../domain/workers/worker.ts";
import { AttemptWatchdog, type AttemptWatchdogParts } from "./attempt-watchdog.ts";

const LEASE_MS = 1_000;

function setUp(mode: Mode = "act") {
  const revoked: number[] = [];
  const session = madeSession({
    types: { t: 0 },
    slots: 2,
    link: { revoke: ({ taskId }) => void revoked.push(taskId) },
  });
  const { log, events } = recordedLog();
  const ended: string[] = [];
  const time = { now: 0 };
  const observed: string[] = [];
  const parts: Pick<AttemptWatchdogParts, "clock" | "registry" | "eventWriter" | "committer" | "mechanisms"> =
    {
      mechanisms: {
        modeFor: () => mode,
        observed: ({ mechanism, would }, { attempt }) =>
          void observed.push(`${mechanism} ${would} t-${attempt?.taskId}`),
      },
      clock: { monotonic: () => time.now },
      registry: { all: () => [session] },
      eventWriter: { appendEvent: () => undefined },
      committer: {
        endAttempt: async (_, attempt, { kind }) => {
          session.startCommit(attempt);
          ended.push(`${kind} ${attempt.taskId}`);
          return { applied: true };
        },
      },
    };
  const settings = { stuckAfterMs: 0, unstartedAfterMs: 500, phasesMs: {} };
  const watchdog = new AttemptWatchdog({ ...parts, log, leases: { leaseMs: LEASE_MS }, settings });
  const runAt = (now: number) => {
    time.now = now;
    watchdog.runOnce();
  };
  return { session, runAt, observed, ended, revoked, events };
}

const beat = (listed: readonly string[], loopAgeMs = 0): HeartbeatRecord =>
  madeBeat({ running: listed.map(madeRunning), loopAgeMs });

describe("attempt watchdog", () => {
  it("requeues an attempt that heartbeats leave out for a lease, and warns before", () => {
    const { session, runAt, ended, revoked, events } = setUp();
    session.hold(madeAttempt({ acceptedAt: 0, startedAt: 0 }), false);
    session.hold(madeAttempt({ taskId: 2, acceptedAt: 0, startedAt: 0 }), false);
    for (const now of [10, 20, 30]) {
      session.noteHeartbeat(beat(["t-2.1"]), now);
      noteBeat(session, beat(["t-2.1"]), now);
    }
    runAt(40);
    assert.deepEqual([events, ended], [["task.unlisted"], []]);
    runAt(10 + LEASE_MS);
    assert.deepEqual([ended, revoked], [["lost 1"], [1]]);
    assert.ok(session.acceptStalledUntil > 10 + LEASE_MS, "others get the task first");
  });

  it("leaves it in the modes observe and off, and records it once until it is listed again", () => {
    const { session, runAt, observed, ended, revoked } = setUp("observe");
    session.hold(madeAttempt({ acceptedAt: 0, startedAt: 0 }), false);
    const report = (listed: readonly string[], times: readonly number[]) => {
      for (const now of times) {
        session.noteHeartbeat(beat(listed), now);
        noteBeat(session, beat(listed), now);
      }
    };
    report(["t-9.9"], [10, 20, 30]);
    for (const now of [40, 10 + LEASE_MS, 20 + LEASE_MS, 10 + 2 * LEASE_MS]) runAt(now);
    assert.deepEqual(observed, ["forgotten requeue t-1"]);
    report(["t-1.1"], [3_000]);
    runAt(3_000);
    report(["t-9.9"], [3_010, 3_020, 3_030]);
    for (const now of [3_040, 3_010 + LEASE_MS]) runAt(now);
    assert.deepEqual(observed, ["forgotten requeue t-1", "forgotten requeue t-1"]);
    assert.deepEqual([ended, revoked, session.acceptStalledUntil], [[], [], 0]);
  });

  it("warns of an attempt that was accepted and does not start", () => {
    const { session, runAt, ended, events } = setUp();
    session.hold(madeAttempt({ acceptedAt: 0 }), false);
    runAt(499);
    assert.deepEqual(events, []);
    runAt(500);
    runAt(501);
    assert.deepEqual([events, ended], [["task.unstarted"], []]);
  });

  it("warns of a blocked main loop, and logs when it runs again", () => {
    const { session, runAt, events } = setUp();
    session.noteHeartbeat(beat([], 60_000), 60_000);
    runAt(60_000);
    session.noteHeartbeat(beat([]), 60_001);
    runAt(60_001);
    assert.deepEqual(events, ["worker.loop_blocked", "worker.loop_unblocked"]);
  });
});
