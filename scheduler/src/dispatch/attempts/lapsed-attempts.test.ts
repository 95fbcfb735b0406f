import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import type { AttemptRow } from "../../store/store.ts";
import { settled } from "../../testing/manual-clock.ts";
import { reconcile } from "../sessions/reconcile.ts";
import type { Session } from "../sessions/session.ts";
import { HotPath, TYPE } from "../testing/hot-path.ts";
import { madeSession } from "../testing/made-session.ts";

const ACCEPT_MS = 1_000;
const KEY = { taskId: 1, epoch: 1 };
const SUCCEEDED = {
  key: KEY,
  outcome: { kind: "succeeded", result: undefined, contentType: "", warnings: [] },
  metrics: undefined,
} as never;

let hot: HotPath;

beforeEach(() => {
  hot = new HotPath();
});

/** A worker that was assigned task 1 and does not answer. */
async function unanswered(): Promise<Session> {
  const worker = hot.worker();
  await hot.submit();
  await settled();
  assert.deepEqual(hot.takeSent(), ["w-1 assign t-1.1"]);
  await hot.clock.pass(ACCEPT_MS);
  return worker;
}

/** Its acceptance is late, and it is given nothing for a minute. */
async function lapse(session: Session): Promise<void> {
  session.stall(hot.clock.monotonic(), "", 60_000, 60_000);
  const attempt = session.attempts.get(1);
  assert.ok(attempt);
  const { committer, lapsed } = hot.dispatch;
  lapsed.add(session, attempt, committer.endAttempt(session, attempt, { kind: "unaccepted" }));
  await settled();
}

/** The worker's next stream, with what it lists. */
function reconnect(old: Session, rows: readonly AttemptRow[], listed = [KEY]): Session {
  const { registry, classes } = hot.dispatch;
  old.replace();
  const session = madeSession({
    id: old.id,
    types: { [TYPE]: 0 },
    link: {
      revoke: ({ taskId, epoch }) => void hot.sent.push(`again revoke t-${taskId}.${epoch}`),
      ackResults: (acks) =>
        void hot.sent.push(...acks.map(({ stale }) => `again ${stale ? "stale" : "ack"}`)),
    },
  });
  reconcile(hot.dispatch, { session, inFlight: listed, rows, readAt: hot.clock.monotonic(), old });
  registry.remove(old);
  classes.removeSession(old);
  registry.add(session);
  classes.addSession(session);
  return session;
}

/** Task 1 as the store has it while its end is not written. */
function assignedRow(sessionId: number): AttemptRow {
  const more = { outOfMemoryCount: 0, requeueCounts: undefined, options: undefined, cancelReason: undefined };
  return { ...KEY, ...more, classId: 1, sessionId, attemptCount: 1, accepted: false, ageMs: ACCEPT_MS };
}

describe("an attempt that is not accepted in time", () => {
  it("is its worker's when the acceptance arrives while its end is being written, and runs once", async () => {
    const worker = await unanswered();
    const idle = hot.worker();
    const written = hot.faults.holdAnswers("commitResults");
    await lapse(worker);
    hot.dispatch.reportHandler.handleAccepted(worker, [KEY]);
    hot.dispatch.reportHandler.handleStarted(worker, [KEY]);
    written();
    await hot.clock.pass(0);
    await hot.poll();
    assert.deepEqual([worker.attempts.get(1)?.state, idle.attempts.size], ["running", 0]);
    assert.deepEqual(hot.takeSent(), []);
  });

  it("ends with a result that arrives while its end is being written", async () => {
    const worker = await unanswered();
    const written = hot.faults.holdAnswers("commitResults");
    await lapse(worker);
    hot.dispatch.reportHandler.handleAccepted(worker, [KEY]);
    hot.dispatch.reportHandler.handleResults(worker, [SUCCEEDED]);
    await settled();
    assert.deepEqual(hot.takeSent(), [], "not refused");
    written();
    await hot.clock.pass(0);
    await hot.poll();
    assert.deepEqual(hot.takeSent(), ["w-1 ack t-1.1"]);
    assert.equal(hot.tables.ended.size, 1);
  });

  it("is kept by a reconnect while its end is being written, whatever was read before", async () => {
    for (const read of [true, false]) {
      hot = new HotPath();
      const old = await unanswered();
      const written = hot.faults.holdAnswers("commitResults");
      await lapse(old);
      const session = reconnect(old, read ? [assignedRow(old.id)] : []);
      hot.dispatch.reportHandler.handleResults(session, [SUCCEEDED]);
      written();
      await hot.clock.pass(0);
      await hot.poll();
      assert.deepEqual(hot.takeSent(), ["again ack"]);
      assert.deepEqual([hot.tables.ended.size, session.attempts.size, session.outstanding], [1, 0, 0]);
    }
  });

  it("is kept by a reconnect that lists it before its task is assigned again", async () => {
    const old = await unanswered();
    await lapse(old);
    const session = reconnect(old, []);
    await hot.clock.pass(0);
    await hot.poll();
    assert.deepEqual([session.attempts.get(1)?.state, session.outstanding], ["accepted", 1]);
    assert.deepEqual(hot.takeSent(), []);
  });

  it("is revoked when its task was assigned to another worker before the reconnect", async () => {
    const old = await unanswered();
    await lapse(old);
    const sessionId = hot.tables.openSession("other");
    const [taken] = await hot.store.claims.claim([{ taskId: 1, sessionId }], "other");
    assert.equal(taken?.epoch, 2);
    const session = reconnect(old, []);
    await settled();
    assert.deepEqual([session.attempts.size, [...session.lingering.keys()]], [0, ["t-1.1"]]);
    assert.deepEqual(hot.takeSent(), ["again revoke t-1.1"]);
  });

  it("goes to the worker's new stream when a reconnect comes while it is being taken back", async () => {
    const old = await unanswered();
    await lapse(old);
    const answer = hot.faults.holdAnswers("retake");
    hot.dispatch.reportHandler.handleAccepted(old, [KEY]);
    await settled();
    const session = reconnect(old, []);
    answer();
    await settled();
    assert.deepEqual([session.attempts.get(1)?.state, old.attempts.size], ["accepted", 0]);
    assert.deepEqual([session.outstanding, session.lingering.size, hot.takeSent()], [1, 0, []]);
  });

  it("is given back when the worker's new stream does not list it", async () => {
    const old = await unanswered();
    await lapse(old);
    const answer = hot.faults.holdAnswers("retake");
    hot.dispatch.reportHandler.handleAccepted(old, [KEY]);
    await settled();
    const session = reconnect(old, [], []);
    answer();
    await settled();
    assert.deepEqual([session.attempts.get(1)?.epoch, old.attempts.size], [2, 0], "it is assigned again");
  });
});
