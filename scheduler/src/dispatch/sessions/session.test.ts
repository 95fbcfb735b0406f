import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { ImpossibleTransition } from "../../domain/state-machine.ts";
import { madeBeat, madeRunning } from "../../domain/testing/made-records.ts";
import {
  INTAKE_MACHINE,
  type IntakeState,
  STREAM_MACHINE,
  type StreamState,
  type StreamTransition,
} from "../../domain/workers/session-machine.ts";
import { thrownBy } from "../../testing/thrown-by.ts";
import { madeSession } from "../testing/made-session.ts";
import type { Session } from "./session.ts";

const STREAM_STEPS: Readonly<Record<StreamTransition, (session: Session) => void>> = {
  drop: (session) => session.drop(7),
  detach: (session) => session.detach(),
  replace: (session) => session.replace(),
  end: (session) => session.end(),
};

/** The states that follow `drop`, `detach`, `replace` and `end`; "-" where the transition is impossible. */
const STREAM: Readonly<Record<StreamState, string>> = {
  connected: "dropped detached replaced ended",
  dropped: "- - replaced ended",
  detached: "- - replaced ended",
  replaced: "- - - -",
  ended: "- - - -",
};
const STREAM_WAYS: Readonly<Record<StreamState, readonly StreamTransition[]>> = {
  connected: [],
  dropped: ["drop"],
  detached: ["detach"],
  replaced: ["replace"],
  ended: ["end"],
};

/** The states that follow `finishStartup` and `drain`. */
const INTAKE: Readonly<Record<IntakeState, readonly [string, string]>> = {
  starting: ["ready", "drainingInStartup"],
  ready: ["-", "draining"],
  drainingInStartup: ["draining", "-"],
  draining: ["-", "-"],
};

function inIntake(state: IntakeState): Session {
  const ready = state === "ready" || state === "draining";
  const session = madeSession({ types: {}, ready, draining: state.startsWith("draining") });
  assert.equal(session.intake, state);
  return session;
}

describe("a session", () => {
  for (const [state, expected] of Object.entries(STREAM) as [StreamState, string][]) {
    it(`whose stream is ${state} takes the transitions of the table, and no other`, () => {
      for (const [index, after] of expected.split(" ").entries()) {
        const session = madeSession({ types: {} });
        for (const way of STREAM_WAYS[state]) STREAM_STEPS[way](session);
        const [name, step] = Object.entries(STREAM_STEPS)[index] ?? assert.fail();
        const error = thrownBy(() => step(session));
        if (after === "-") {
          assert.ok(error instanceof ImpossibleTransition, name);
          assert.deepEqual([error.machine, error.state, error.transition], ["stream", state, name]);
        } else assert.equal(error, undefined);
        assert.equal(session.stream, after === "-" ? state : after);
        assert.equal(session.link, undefined, "only a live stream is written to");
        assert.equal(session.droppedAt, session.stream === "dropped" || state === "dropped" ? 7 : undefined);
        assert.equal(session.isOver, session.stream === "replaced" || session.stream === "ended");
      }
    });
  }

  for (const [state, after] of Object.entries(INTAKE) as [IntakeState, readonly [string, string]][]) {
    it(`that is ${state} takes the transitions of the table, and no other`, () => {
      const steps = [
        ["finishStartup", (session: Session) => session.finishStartup()],
        ["drain", (session: Session) => session.drain()],
      ] as const;
      for (const [index, [name, step]] of steps.entries()) {
        const session = inIntake(state);
        const error = thrownBy(() => step(session));
        if (after[index] === "-") {
          assert.ok(error instanceof ImpossibleTransition, name);
          assert.equal(session.intake, state);
        } else assert.equal(session.intake, after[index]);
      }
    });
  }

  it("is assigned tasks only while its startup is over and its stream is live, in every sequence", () => {
    const names = ["finishStartup", "drain", "drop", "detach", "replace", "end"] as const;
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...names), { maxLength: 12 }), (list) => {
        const session = madeSession({ types: {}, ready: false });
        let over = false;
        for (const name of list) {
          const { stream, intake } = session;
          const isIntake = name === "finishStartup" || name === "drain";
          const next = isIntake
            ? INTAKE_MACHINE.transitions[name][intake]
            : STREAM_MACHINE.transitions[name][stream];
          const error = thrownBy(() => (name === "drop" ? session.drop(1) : session[name]()));
          assert.equal(error === undefined, next !== undefined, `${name} while ${stream} and ${intake}`);
          if (over) assert.equal(session.stream, stream, "a session that is over stays so");
          over = session.isOver;
          assert.equal(session.ready, session.startupDone && session.stream === "connected");
          assert.equal(session.link === undefined, session.stream !== "connected");
        }
      }),
    );
  });

  it("takes from a heartbeat whether it is paused and whether it lists attempts", () => {
    const session = madeSession({ types: {}, slots: 3 });
    session.noteHeartbeat(madeBeat({ paused: true }), 5);
    assert.deepEqual(
      [session.pauseReason, session.listsAttempts, session.beatUnwritten, session.lastBeatAt],
      ["paused", false, true, 5],
    );
    session.takeBeat();
    session.noteHeartbeat(madeBeat({ running: [madeRunning("t-1.1")] }), 6);
    session.noteHeartbeat(madeBeat(), 7);
    assert.deepEqual(
      [session.pauseReason, session.listsAttempts, session.beatUnwritten, session.lastBeatAt],
      [undefined, true, true, 7],
    );
  });

  it("is not written by others", () => {
    const session = madeSession({ types: { t: 0 } });
    const { link } = session;
    assert.throws(() => {
      // @ts-expect-error It is read-only.
      session.link = undefined;
    }, TypeError);
    assert.throws(() => {
      // @ts-expect-error It is read-only.
      session.slots = 9;
    }, TypeError);
    assert.deepEqual([session.link, session.slots], [link, 1]);
  });

  it("is stalled for longer each time, up to the last wait, until it accepts in time", () => {
    const session = madeSession({ types: {} });
    const waits = [0, 0, 0].map(() => {
      session.stall(100, "left it unanswered", 10, 30);
      return session.acceptStalledUntil - 100;
    });
    assert.deepEqual(waits, [10, 20, 30]);
    session.endStall();
    assert.equal(session.acceptStalledUntil, 0);
    session.stall(100, "left it unanswered", 10, 30);
    assert.equal(session.acceptStalledUntil, 110);
  });

  it("counts assignments in a row that were not accepted, those that were sent together as one", () => {
    const session = madeSession({ types: {} });
    const pass = (now: number) => {
      session.noteUnaccepted(now);
      session.stall(now, "left it unanswered", 10, 30);
    };
    for (const now of [100, 100, 101]) pass(now);
    assert.equal(session.unaccepted, 1, "three of one moment");
    pass(200);
    assert.equal(session.unaccepted, 2);
    session.endStall();
    assert.equal(session.unaccepted, 0);
  });

  it("keeps what it was asked to load with the first moment, and a committed result for one copy", () => {
    const session = madeSession({ types: {} });
    session.noteAsk("model:x", 1);
    session.noteAsk("model:x", 4);
    assert.deepEqual([...session.asks], [["model:x", { since: 1, at: 4, count: 2 }]]);
    session.dropAsk("model:x");
    assert.equal(session.asks.size, 0);
    const key = { taskId: 1, epoch: 1 };
    session.noteCommitted(key);
    assert.deepEqual([session.takeCommitted(key), session.takeCommitted(key)], [true, false]);
  });
});
