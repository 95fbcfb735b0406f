import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Attempt } from "../dispatch/attempts/attempt.ts";
import { madeAttempt } from "../dispatch/testing/made-attempt.ts";
import { madeSession } from "../dispatch/testing/made-session.ts";
import { recordedLog } from "../dispatch/testing/recorded-log.ts";
import type { Mode } from "../domain/mechanisms/mechanism.ts";
import type { Outcome } from "../domain/tasks/outcome/outcome.ts";
import { Deadlines } from "./deadlines.ts";

const ACCEPT_MS = 100;

/** One session that holds the attempt, and what the service does about it. */
function setUp(attempt: Attempt, mode: Mode = "act") {
  const cancelled: string[] = [];
  const session = madeSession({
    types: { t: 0 },
    link: { cancel: (_, reason) => void cancelled.push(reason) },
  });
  session.hold(attempt, false);
  const { log, events } = recordedLog();
  const ended: Outcome["kind"][] = [];
  const appended: string[] = [];
  const lapsed: number[] = [];
  const observed: string[] = [];
  const time = { now: 0 };
  const deadlines = new Deadlines({
    registry: { all: () => [session] },
    committer: {
      endAttempt: async (_, ending, outcome) => {
        session.startCommit(ending);
        ended.push(outcome.kind);
        return { applied: true };
      },
    },
    lapsed: { add: (_, { taskId }) => void lapsed.push(taskId) },
    eventWriter: { appendEvent: ({ name }) => void appended.push(name) },
    mechanisms: {
      modeFor: () => mode,
      observed: ({ mechanism, would, reason }) => void observed.push(`${mechanism} ${would}: ${reason}`),
    },
    traces: { fields: () => ({}) },
    clock: { monotonic: () => time.now },
    log,
    leases: { acceptDeadlineMs: ACCEPT_MS },
  });
  const runAt = (now: number) => {
    time.now = now;
    deadlines.runOnce();
  };
  return { session, runAt, observed, ended, lapsed, cancelled, appended, events };
}

describe("deadlines", () => {
  it("requeue an assignment that is not accepted in time, once, and stall its session", async () => {
    const { runAt, session, ended, lapsed, events } = setUp(madeAttempt());
    runAt(ACCEPT_MS - 1);
    assert.deepEqual(ended, []);
    runAt(ACCEPT_MS);
    runAt(ACCEPT_MS + 1);
    await Promise.resolve();
    assert.deepEqual([ended, lapsed, events], [["unaccepted"], [1], ["task.unaccepted"]]);
    assert.ok(session.acceptStalledUntil > ACCEPT_MS);
    assert.equal(session.unaccepted, 1);
  });

  it("leave an assignment that is not accepted in time in the modes observe and off, and record it once", () => {
    const { runAt, session, observed, ended, lapsed, events } = setUp(madeAttempt(), "observe");
    for (const now of [ACCEPT_MS - 1, ACCEPT_MS, ACCEPT_MS + 1]) runAt(now);
    assert.deepEqual(observed, [
      `unaccepted requeue: ${session.workerId} has not accepted it in the ${ACCEPT_MS} ms since it was assigned`,
    ]);
    assert.deepEqual([ended, lapsed, events, session.acceptStalledUntil], [[], [], [], 0]);
    const off = setUp(madeAttempt(), "off");
    off.runAt(ACCEPT_MS);
    assert.deepEqual([off.observed, off.ended], [[], []]);
  });

  it("let what arrived while this process did not run be read first, for one check", () => {
    const { runAt, ended } = setUp(madeAttempt());
    runAt(0);
    runAt(1_000);
    assert.deepEqual(ended, []);
    runAt(2_000);
    assert.deepEqual(ended, ["unaccepted"]);
  });

  it("cancel an attempt that passed its run timeout once, and report it again while it runs on", () => {
    const attempt = madeAttempt({ acceptedAt: 0, startedAt: 0, options: { timeouts: { runMs: 50 } } });
    const { runAt, cancelled, appended, ended } = setUp(attempt);
    runAt(50);
    assert.deepEqual(cancelled, []);
    for (const now of [51, 52, 10_000]) runAt(now);
    assert.deepEqual(cancelled, ["its run timeout of 50 ms is over"]);
    assert.deepEqual(appended, ["task.timed_out", "task.timed_out"]);
    assert.deepEqual(ended, [], "its worker reports the end");
  });

  it("leave the attempts of a session without a stream to its lease", () => {
    const { runAt, session, ended } = setUp(madeAttempt());
    session.drop(0);
    runAt(ACCEPT_MS);
    assert.deepEqual(ended, []);
  });
});
