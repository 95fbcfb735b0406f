import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { ImpossibleTransition } from "../../domain/state-machine.ts";
import {
  ATTEMPT_MACHINE,
  type AttemptState,
  type AttemptTransition,
} from "../../domain/tasks/attempts/attempt-machine.ts";
import { DEFAULT_CIRCUIT_RULE } from "../../domain/tasks/limits/circuit.ts";
import { thrownBy } from "../../testing/thrown-by.ts";
import { madeAttempt } from "../testing/made-attempt.ts";
import type { Attempt } from "./attempt.ts";

const WAIT = { ageMs: 0, taskIds: [], taskCount: 0, reason: "", returning: false };
const TIMED_OUT = { phase: undefined, limitMs: 1, elapsedMs: 2 };

/** Each transition by the methods that carry it out. */
const STEPS: Readonly<Record<AttemptTransition, readonly ((attempt: Attempt, now: number) => void)[]>> = {
  accept: [(attempt, now) => attempt.accept(now)],
  start: [(attempt, now) => attempt.start(now)],
  report: [
    (attempt, now) => attempt.noteSequence(now),
    (attempt, now) => attempt.beginPhase("p", now),
    (attempt, now) => void attempt.endPhase("p", now),
    (attempt, now) => attempt.noteProgress({ done: now, message: "" }, now),
  ],
  cancel: [(attempt, now) => attempt.requestCancel(`at ${now}`)],
  timeOut: [(attempt) => attempt.timeOut(TIMED_OUT)],
  releaseSlot: [(attempt, now) => attempt.releaseSlot(WAIT, now)],
  takeSlot: [(attempt) => attempt.takeSlot()],
  startCommit: [(attempt) => attempt.startCommit(true)],
  holdUp: [(attempt, now) => attempt.holdUp(`at ${now}`)],
  end: [(attempt) => attempt.end()],
};
const TRANSITIONS = Object.keys(STEPS) as AttemptTransition[];

/** The shortest way into each state. */
const WAYS: Readonly<Record<AttemptState, readonly AttemptTransition[]>> = {
  assigned: [],
  started: ["start"],
  accepted: ["accept"],
  running: ["accept", "start"],
  released: ["accept", "start", "releaseSlot"],
  committing: ["startCommit"],
  held: ["startCommit", "holdUp"],
  ended: ["end"],
};

/** The states that follow, in the order of the transitions above; "-" where the transition is impossible. */
const EXPECTED: Readonly<Record<AttemptState, string>> = {
  assigned: "accepted started assigned assigned - - - committing - ended",
  started: "running - started started - - - committing - ended",
  accepted: "- running accepted accepted accepted - - committing - ended",
  running: "- - running running running released - committing - ended",
  released: "- - released released released - running committing - ended",
  committing: "committing committing committing committing - - - - held ended",
  held: "held held held held - - - - held ended",
  ended: "- - - - - - - - - -",
};

function inState(state: AttemptState): Attempt {
  const attempt = madeAttempt();
  for (const transition of WAYS[state]) STEPS[transition][0]?.(attempt, 1);
  assert.equal(attempt.state, state);
  return attempt;
}

/** Everything that may be read of an attempt. */
function facts(attempt: Attempt) {
  const { state, isOpen, cancelReason, acceptedAt, startedAt, runsSince, phase, phaseAt } = attempt;
  const { progress, sequence, heldUp, reported, timedOut } = attempt;
  return {
    ...{ state, isOpen, cancelReason, acceptedAt, startedAt, runsSince, phase, phaseAt },
    ...{ progress, sequence, heldUp, reported, timedOut },
  };
}

describe("an attempt", () => {
  for (const [state, expected] of Object.entries(EXPECTED) as [AttemptState, string][]) {
    it(`that is ${state} takes the transitions of the table, and no other`, () => {
      const after = expected.split(" ");
      for (const [index, transition] of TRANSITIONS.entries()) {
        for (const step of STEPS[transition]) {
          const attempt = inState(state);
          const before = facts(attempt);
          if (after[index] !== "-") {
            step(attempt, 7);
            assert.equal(attempt.state, after[index], transition);
            continue;
          }
          const error = thrownBy(() => step(attempt, 7));
          assert.ok(error instanceof ImpossibleTransition, transition);
          assert.deepEqual([error.machine, error.state, error.transition], ["attempt", state, transition]);
          assert.match(error.message, /^attempt t-1\.1 is /);
          assert.deepEqual(facts(attempt), before, "nothing changed");
        }
      }
    });
  }

  it("keeps in every sequence of transitions what holds of its state", () => {
    const steps = fc.array(fc.tuple(fc.constantFrom(...TRANSITIONS), fc.nat()), { maxLength: 30 });
    fc.assert(
      fc.property(steps, (list) => {
        const attempt = madeAttempt();
        let now = 0;
        for (const [transition, pick] of list) {
          now++;
          const before = facts(attempt);
          const methods = STEPS[transition];
          const possible = ATTEMPT_MACHINE.transitions[transition][before.state] !== undefined;
          // Its handler reports both once only.
          if (transition === "accept" && before.acceptedAt !== undefined) continue;
          if (transition === "start" && before.startedAt !== undefined) continue;
          const error = thrownBy(() => methods[pick % methods.length]?.(attempt, now));
          assert.equal(error === undefined, possible, `${transition} while ${before.state}`);
          const { state, isOpen, acceptedAt, startedAt, heldUp, timedOut } = facts(attempt);
          if (before.state === "ended")
            assert.deepEqual(facts(attempt), before, "an ended one never changes");
          assert.ok(isOpen || !before.isOpen || !error, "only a transition ends it");
          assert.ok(before.isOpen || !isOpen, "its end is not taken back");
          if (isOpen) {
            assert.equal(acceptedAt !== undefined, ["accepted", "running", "released"].includes(state));
            assert.equal(startedAt !== undefined, ["started", "running", "released"].includes(state));
            assert.equal(heldUp, undefined);
          }
          if (state === "held") assert.ok(heldUp);
          if (state === "assigned" || state === "started") assert.equal(timedOut, undefined);
          assert.equal(attempt.runsSince, startedAt ?? acceptedAt ?? attempt.sentAt);
        }
      }),
    );
  });

  it("is not written by others", () => {
    const attempt = inState("assigned");
    const before = facts(attempt);
    assert.throws(() => {
      // @ts-expect-error It is read-only.
      attempt.acceptedAt = 1;
    }, TypeError);
    assert.throws(() => {
      // @ts-expect-error It is read-only.
      attempt.state = "ended";
    }, TypeError);
    assert.deepEqual(facts(attempt), before);
  });

  it("gives what is not written once, and again when the write failed", () => {
    const attempt = inState("running");
    attempt.beginPhase("load", 3);
    attempt.noteProgress({ done: 1, message: "" }, 4);
    const touch = attempt.takeTouch(10);
    assert.deepEqual(
      { ...touch, progress: touch.progress?.done },
      {
        key: { taskId: 1, epoch: 1 },
        acceptAgeMs: 9,
        startAgeMs: 9,
        phase: "load",
        phaseAgeMs: 7,
        progress: 1,
      },
    );
    const nothing = attempt.takeTouch(11);
    assert.deepEqual(
      [nothing.acceptAgeMs, nothing.startAgeMs, nothing.phase, nothing.progress],
      [undefined, undefined, undefined, undefined],
    );
    attempt.putBack(touch);
    assert.deepEqual(attempt.takeTouch(12), { ...touch, acceptAgeMs: 11, startAgeMs: 11, phaseAgeMs: 9 });
  });

  it("clears the progress of a phase when the next one begins, and keeps that of a phase around it", () => {
    const attempt = inState("running");
    attempt.beginPhase("read", 1);
    attempt.noteProgress({ done: 5, message: "" }, 2);
    assert.equal(attempt.endPhase("read", 3), true);
    assert.equal(attempt.progress?.done, 5);
    attempt.beginPhase("upload", 4);
    assert.equal(attempt.progress, null);
    assert.equal(attempt.lastProgress(5), null);
    attempt.noteProgress({ done: 1, message: "" }, 5);
    attempt.beginPhase("part", 6);
    assert.equal(attempt.lastProgress(8)?.ageMs, 3);
    assert.equal(attempt.endPhase("upload", 7), false, "it is in the inner one");
    assert.equal(attempt.phase, "part");
  });

  it("that is accepted late is a new one with the facts of the old, free of its end", () => {
    const old = inState("started");
    old.startCommit(true);
    old.holdUp("the disk is full");
    old.end();
    const retaken = old.retaken(9);
    assert.deepEqual(
      [retaken.state, retaken.acceptedAt, retaken.startedAt, retaken.heldUp, retaken.reported],
      ["running", 9, 1, undefined, false],
    );
    const circuit = { ...DEFAULT_CIRCUIT_RULE, key: "provider" };
    assert.equal(madeAttempt({ circuit }).retaken(9).circuit, circuit, "its result counts there");
    assert.equal(inState("assigned").unanswered().state, "assigned");
    assert.equal(inState("started").unanswered().state, "started");
  });
});
