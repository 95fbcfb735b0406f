import type { StateMachine } from "../../state-machine.ts";

/**
 * States of an attempt in the scheduler that holds its worker's stream:
 *
 * - `assigned`: sent to the worker, which has not answered.
 * - `started`: the worker reported the start, and not yet the acceptance: the accept deadline still applies.
 * - `accepted`: the worker has it, and its handler has not been called.
 * - `running`: its handler has been called.
 * - `released`: its handler waits, and its place is free meanwhile.
 * - `committing`: its result arrived or its end was concluded, and the end is being written. Its place is free.
 * - `held`: the database has not taken its end so far. It occupies its place until it has.
 * - `ended`: its session no longer holds it. It never changes again.
 */
export type AttemptState =
  | "assigned"
  | "started"
  | "accepted"
  | "running"
  | "released"
  | "committing"
  | "held"
  | "ended";

/** Transitions of an attempt. `report`, `cancel` and `timeOut` change facts and keep the state. */
export type AttemptTransition =
  | "accept"
  | "start"
  | "report"
  | "cancel"
  | "timeOut"
  | "releaseSlot"
  | "takeSlot"
  | "startCommit"
  | "holdUp"
  | "end";

/** Reports and requests that change facts of an attempt, until it has ended. */
const UNTIL_ENDED = {
  assigned: "assigned",
  started: "started",
  accepted: "accepted",
  running: "running",
  released: "released",
  committing: "committing",
  held: "held",
} as const;

/** The transitions of an attempt. A worker may report its acceptance and its start after its result. */
export const ATTEMPT_MACHINE: StateMachine<AttemptState, AttemptTransition> = {
  name: "attempt",
  initial: "assigned",
  transitions: {
    accept: { assigned: "accepted", started: "running", committing: "committing", held: "held" },
    start: { assigned: "started", accepted: "running", committing: "committing", held: "held" },
    report: UNTIL_ENDED,
    cancel: UNTIL_ENDED,
    timeOut: { accepted: "accepted", running: "running", released: "released" },
    releaseSlot: { running: "released" },
    takeSlot: { released: "running" },
    startCommit: {
      assigned: "committing",
      started: "committing",
      accepted: "committing",
      running: "committing",
      released: "committing",
    },
    holdUp: { committing: "held", held: "held" },
    end: {
      assigned: "ended",
      started: "ended",
      accepted: "ended",
      running: "ended",
      released: "ended",
      committing: "ended",
      held: "ended",
    },
  },
};
