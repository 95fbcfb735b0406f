import assert from "node:assert/strict";
import { test } from "node:test";
import type { RevokeResult } from "../../store/store.ts";
import { ManualClock } from "../../testing/manual-clock.ts";
import type { Session } from "../sessions/session.ts";
import { madeAttempt } from "../testing/made-attempt.ts";
import { madeSession } from "../testing/made-session.ts";
import { recordedLog } from "../testing/recorded-log.ts";
import { Revocations, type RevocationsParts } from "./revocations.ts";

const EARLY_MS = 30_000;
const BODY = { task_id: "1", epoch: "1", reason: "why" };

function made(result?: RevokeResult) {
  const clock = new ManualClock();
  const { log } = recordedLog();
  const sessions = new Map<number, Session>();
  const did: string[] = [];
  const revocations = new Revocations({
    clock,
    log,
    schedulerId: "a",
    registry: { byId: (id: number) => sessions.get(id) },
    eventWriter: { flush: async () => did.push("flush") > 0 },
    store: {
      revokeTask: async (id, { reason, schedulerId }, decide) => {
        did.push(`store ${id} ${reason} ${schedulerId}`);
        if (result?.outcome === "revoked") decide(result.attempt);
        return result;
      },
    },
    retryPolicies: {
      decide: (_, outcome) => {
        did.push(JSON.stringify(outcome));
        return { kind: "requeue", reason: "revoked", delayMs: 0, costsAttempt: false, outOfMemory: false };
      },
    },
    committer: { afterCommit: ({ taskId, epoch }) => void did.push(`after ${taskId}.${epoch}`) },
    admission: { release: ({ taskId, epoch }, path) => void did.push(`free ${taskId}.${epoch} ${path}`) },
    traces: { ended: () => undefined },
    signals: { changed: (id: number) => void did.push(`changed ${id}`) },
  } satisfies RevocationsParts);
  const connect = () => {
    const session = madeSession({
      types: { t: 0 },
      slots: 2,
      link: {
        revoke: ({ taskId, epoch }, why) => void did.push(`revoke ${taskId}.${epoch} ${why}`),
      },
    });
    sessions.set(session.id, session);
    return session;
  };
  return { clock, connect, did, revocations, sessions };
}

const REVOKED: RevokeResult = {
  outcome: "revoked",
  workerId: "w-1",
  attempt: {
    ...{ taskId: 1, epoch: 1, classId: 1, sessionId: 1, attemptCount: 1, outOfMemoryCount: 0 },
    ...{ requeueCounts: undefined, options: undefined, cancelReason: undefined, accepted: true, ageMs: 1 },
  },
  decision: { kind: "requeue", reason: "revoked", delayMs: 0, costsAttempt: false, outOfMemory: false },
};

test("the store ends the attempt first; then its worker is asked to stop, and its slot stays occupied until then", async () => {
  const { connect, did, revocations } = made(REVOKED);
  const session = connect();
  session.hold(madeAttempt({ acceptedAt: 1 }), false);
  assert.deepEqual(await revocations.revoke(1, "why", 5), {
    key: { taskId: 1, epoch: 1 },
    workerId: "w-1",
  });
  assert.deepEqual(did, [
    "flush",
    "store 1 why a",
    '{"kind":"released","reason":"revoked","delayMs":5}',
    "after 1.1",
    "free 1.1 stale",
    "revoke 1.1 why",
    "changed 1",
  ]);
  assert.deepEqual([session.attempts.size, session.outstanding], [0, 1]);
  session.letGo("t-1.1", 2);
  assert.equal(session.outstanding, 0);
});

test("a task that waits, has ended or does not exist is at no worker", async () => {
  await assert.rejects(made({ outcome: "waits" }).revocations.revoke(1, "", 0), {
    reason: "TASK_NOT_REVOCABLE",
    message: /^task t-1 waits, .*`muster hold t-1`/,
  });
  await assert.rejects(made({ outcome: "ended" }).revocations.revoke(1, "", 0), {
    reason: "TASK_ALREADY_ENDED",
  });
  assert.equal(await made().revocations.revoke(1, "", 0), undefined);
});

test("a command that arrives before its attempt, or before its session, is carried out when these come", async () => {
  for (const isConnected of [true, false]) {
    const { connect, did, revocations, sessions } = made();
    if (isConnected) connect();
    revocations.carryOut({ sessionId: 1, body: BODY });
    revocations.tryAgain();
    assert.deepEqual(did, []);
    const session = sessions.get(1) ?? connect();
    session.hold(madeAttempt(), false);
    revocations.tryAgain();
    revocations.tryAgain();
    assert.deepEqual(did, ["free 1.1 stale", "revoke 1.1 why"]);
  }
});

test("a command is given up when its attempt has not come for 30 s", async () => {
  const { clock, connect, did, revocations } = made();
  const session = connect();
  revocations.carryOut({ sessionId: 1, body: BODY });
  await clock.pass(EARLY_MS);
  revocations.tryAgain();
  session.hold(madeAttempt(), false);
  revocations.tryAgain();
  assert.deepEqual([did, session.attempts.size], [[], 1]);
});

test("a later attempt of the task stays, also at the same worker", () => {
  const { connect, did, revocations } = made();
  const session = connect();
  session.hold(madeAttempt({ epoch: 2 }), false);
  revocations.carryOut({ sessionId: 1, body: BODY });
  assert.deepEqual(did, ["revoke 1.1 why"]);
  assert.deepEqual([session.attempts.get(1)?.epoch, session.outstanding], [2, 2]);
});

test("an attempt whose result is being written is left to the store, which finds the result late", () => {
  const { connect, did, revocations } = made();
  const session = connect();
  const attempt = madeAttempt({ acceptedAt: 1 });
  session.hold(attempt, false);
  session.startCommit(attempt, true);
  revocations.carryOut({ sessionId: 1, body: BODY });
  assert.deepEqual([did, attempt.state], [[], "committing"]);
});
