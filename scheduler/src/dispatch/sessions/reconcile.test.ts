import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { AttemptKey } from "../../domain/ids.ts";
import type { Outcome } from "../../domain/tasks/outcome/outcome.ts";
import type { AttemptRow } from "../../store/store.ts";
import type { Attempt } from "../attempts/attempt.ts";
import { madeAttempt } from "../testing/made-attempt.ts";
import { madeSession } from "../testing/made-session.ts";
import { reconcile } from "./reconcile.ts";
import type { Session } from "./session.ts";

const NOW = 1_000;
const HELD: AttemptKey = { taskId: 1, epoch: 3 };
const UNKNOWN_REASON = "it was no longer the worker's when it reconnected";

/** A row of the store: task 1, epoch 3, accepted, with what the test gives. */
function row(given: Partial<AttemptRow> = {}): AttemptRow {
  return {
    ...HELD,
    classId: 1,
    sessionId: 1,
    attemptCount: 2,
    outOfMemoryCount: 0,
    requeueCounts: undefined,
    options: undefined,
    cancelReason: undefined,
    accepted: true,
    ageMs: 50,
    ...given,
  };
}

function run(given: {
  inFlight?: readonly AttemptKey[];
  rows?: readonly AttemptRow[];
  readAt?: number;
  old?: Session;
  lapsed?: Attempt;
}) {
  const session = madeSession({ types: { t: 0 }, slots: 4 });
  const ended: { attempt: Attempt; outcome: Outcome }[] = [];
  const written: Attempt[] = [];
  const decisions = reconcile(
    {
      admission: { hold: () => undefined, release: () => undefined },
      classes: {
        get: (id) => (id === 1 ? ({ taskClass: { id, type: "t", requirements: {} } } as never) : undefined),
      },
      clock: { monotonic: () => NOW },
      lapsed: { resume: (_, { epoch }) => (given.lapsed?.epoch === epoch ? given.lapsed : undefined) },
      eventWriter: { writeAttempt: (_, attempt) => void written.push(attempt) },
      committer: {
        endAttempt: async (holder, attempt, outcome) => {
          assert.equal(holder, session);
          session.startCommit(attempt);
          ended.push({ attempt, outcome });
          return { applied: true };
        },
      },
    },
    {
      session,
      inFlight: given.inFlight ?? [],
      rows: given.rows ?? [],
      readAt: given.readAt ?? 0,
      old: given.old,
    },
  );
  return { session, decisions, ended, written };
}

/** The last stream of the worker, with attempts. */
function lastStream(...attempts: Attempt[]): Session {
  const old = madeSession({ types: { t: 0 }, slots: 4 });
  for (const attempt of attempts) old.hold(attempt, false);
  old.replace();
  return old;
}

const GPU = [{ name: "gpu", amount: 3 }];

describe("reconciliation of a worker that registers", () => {
  it("keeps an attempt that both sides have, as far as the store knows it", () => {
    const { session, decisions, ended, written } = run({
      inFlight: [HELD],
      rows: [row({ phase: "load", phaseAgeMs: 30, startAgeMs: 40, sequence: 7 })],
    });
    assert.deepEqual(decisions, [{ key: HELD, keep: true, reason: "", cancelled: false }]);
    const attempt = session.attempts.get(1);
    assert.deepEqual(
      [attempt?.state, attempt?.acceptedAt, attempt?.startedAt, attempt?.phase, attempt?.phaseAt],
      ["running", NOW, NOW - 40, "load", NOW - 30],
    );
    assert.equal(attempt?.sequence, 7, "events that are recorded are not recorded twice");
    assert.deepEqual([session.outstanding, ended, written], [1, [], []]);
  });

  it("takes over what it knows from the worker's last stream", () => {
    const known = madeAttempt({ ...HELD, acceptedAt: 100, startedAt: 200 });
    known.beginPhase("upload", 300);
    known.noteProgress({ done: 5, message: "" }, 400);
    known.noteSequence(9);
    const { session } = run({
      inFlight: [HELD],
      rows: [row({ phase: "load", sequence: 4 })],
      old: lastStream(known),
    });
    const attempt = session.attempts.get(1);
    assert.notEqual(attempt, known);
    assert.deepEqual(
      [attempt?.acceptedAt, attempt?.startedAt, attempt?.phase, attempt?.progress?.done, attempt?.sequence],
      [100, 200, "upload", 5, 9],
    );
  });

  it("writes the acceptance of an attempt that the store has as assigned", () => {
    const { session, written } = run({ inFlight: [HELD], rows: [row({ accepted: false })] });
    assert.deepEqual(written, [session.attempts.get(1)]);
    assert.equal(written[0]?.takeTouch(NOW + 5).acceptAgeMs, 5);
  });

  it("reports a cancel that was requested meanwhile", () => {
    const { decisions, session } = run({ inFlight: [HELD], rows: [row({ cancelReason: "asked" })] });
    assert.equal(decisions[0]?.cancelled, true);
    assert.equal(session.attempts.get(1)?.cancelReason, "asked");
  });

  it("revokes what is no longer the worker's; its slot is taken until its handler returns", () => {
    for (const rows of [[], [row({ epoch: 4 })]]) {
      const { session, decisions, ended } = run({ inFlight: [HELD], rows });
      assert.deepEqual(decisions, [
        { key: HELD, keep: false, reason: "the attempt is no longer this worker's", cancelled: false },
      ]);
      assert.deepEqual(session.lingering.get("t-1.3"), {
        key: HELD,
        type: "",
        cost: undefined,
        since: NOW,
        reason: UNKNOWN_REASON,
      });
      assert.equal(ended.length, rows.length, "the newer attempt never reached the worker");
      assert.equal(session.outstanding, 1);
    }
  });

  it("keeps the type, the cost, the time and the reason of what it revoked on the last stream", () => {
    const old = lastStream();
    old.linger({ key: HELD, type: "t", cost: GPU, since: 10, reason: "it was not accepted in time" });
    const { session } = run({ inFlight: [HELD], old });
    assert.deepEqual(session.lingering.get("t-1.3"), {
      key: HELD,
      type: "t",
      cost: GPU,
      since: 10,
      reason: "it was not accepted in time",
    });
    assert.equal(session.types.get("t")?.active, 1);
  });

  it("requeues what the store has assigned and the worker never received, at no cost", () => {
    const { session, decisions, ended } = run({ rows: [row()] });
    assert.deepEqual(decisions, []);
    assert.deepEqual(
      ended.map(({ attempt, outcome }) => [attempt.taskId, attempt.epoch, outcome]),
      [[1, 3, { kind: "released", reason: "unreceived" }]],
    );
    assert.equal(session.outstanding, 0, "its place is free");
  });

  it("requeues what was sent to the last stream after the rows were read", () => {
    const accepted = madeAttempt({ taskId: 11, acceptedAt: 5 });
    const ending = madeAttempt({ taskId: 12 });
    const read = madeAttempt({ ...HELD });
    const unsent = madeAttempt({ taskId: 14 });
    const old = lastStream(accepted, ending, read, unsent);
    old.startCommit(ending);
    const { session, ended } = run({ inFlight: [HELD], rows: [row()], old });
    assert.deepEqual(
      ended.map(({ attempt, outcome }) => [attempt.taskId, outcome.kind]),
      [[14, "released"]],
    );
    assert.notEqual(ended[0]?.attempt, unsent, "the last stream's own record is left alone");
    assert.deepEqual([...session.attempts.values()].map(({ taskId }) => taskId).sort(), [1, 11, 14]);
    assert.equal(session.outstanding, 2);
  });

  it("keeps what the last stream's session came to hold after the rows were read, and its worker has", () => {
    for (const known of [madeAttempt(HELD), madeAttempt({ ...HELD, acceptedAt: 5, startedAt: 6 })]) {
      const { session, decisions, ended, written } = run({ inFlight: [HELD], old: lastStream(known) });
      assert.deepEqual(decisions, [{ key: HELD, keep: true, reason: "", cancelled: false }]);
      const attempt = session.attempts.get(1);
      assert.notEqual(attempt, known, "the last stream's own record is left alone");
      assert.deepEqual([attempt?.acceptedAt, attempt?.startedAt], [known.acceptedAt ?? NOW, known.startedAt]);
      assert.deepEqual(written, known.acceptedAt === undefined ? [attempt] : []);
      assert.deepEqual([session.lingering.size, ended], [0, []]);
    }
  });

  it("keeps an accepted attempt that the worker's older list does not have", () => {
    const { session, ended } = run({ old: lastStream(madeAttempt({ ...HELD, acceptedAt: 5 })) });
    assert.deepEqual([session.attempts.get(1)?.state, ended], ["accepted", []]);
  });

  it("revokes what the last stream's session held before and the store no longer has", () => {
    const known = madeAttempt({ ...HELD, acceptedAt: 5 });
    const { session, decisions } = run({ inFlight: [HELD], old: lastStream(known), readAt: 10 });
    assert.deepEqual([decisions[0]?.keep, session.attempts.size, session.lingering.size], [false, 0, 1]);
  });

  it("takes nothing from another attempt of the task on the last stream", () => {
    const other = madeAttempt({ taskId: 1, epoch: 2, acceptedAt: 100, startedAt: 200 });
    const { session } = run({ inFlight: [HELD], rows: [row()], old: lastStream(other) });
    const attempt = session.attempts.get(1);
    assert.deepEqual([attempt?.epoch, attempt?.acceptedAt, attempt?.startedAt], [3, NOW, undefined]);
  });

  it("gives back a newer attempt that was assigned after the rows were read, and revokes the older", () => {
    const newer = madeAttempt({ taskId: 1, epoch: 4 });
    const { session, decisions, ended } = run({ inFlight: [HELD], rows: [row()], old: lastStream(newer) });
    assert.equal(decisions[0]?.keep, false);
    assert.deepEqual(
      ended.map(({ attempt, outcome }) => [attempt.epoch, outcome.kind]),
      [[4, "released"]],
    );
    assert.equal(session.attempts.get(1)?.epoch, 4);
  });

  it("holds an attempt that was not accepted in time until it is known whether its worker keeps it", () => {
    const lapsed = madeAttempt({ ...HELD, acceptedAt: 5 });
    for (const rows of [[], [row({ accepted: false })]]) {
      const { session, decisions, ended } = run({ inFlight: [HELD], rows, lapsed });
      assert.deepEqual([decisions[0]?.keep, session.attempts.get(1), ended], [true, lapsed, []]);
    }
    const { session } = run({ inFlight: [HELD], rows: [row({ epoch: 4 })], lapsed });
    assert.equal(session.lingering.size, 1, "its task was assigned again");
  });

  it("holds an attempt of a class that is not known, and counts no type for it", () => {
    const { session } = run({ inFlight: [HELD], rows: [row({ classId: 99 })] });
    assert.deepEqual([session.attempts.get(1)?.type, session.types.get("t")?.active], ["", 0]);
    assert.equal(session.outstanding, 1);
  });
});
