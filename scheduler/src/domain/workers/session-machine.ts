import type { StateMachine } from "../state-machine.ts";

/**
 * States of a session's stream in the scheduler that registered it:
 *
 * - `connected`: its stream is live.
 * - `dropped`: its stream ended. The lease and the grace decide what becomes of it.
 * - `detached`: this scheduler stops and ended the stream. The session lives on after a restart or elsewhere.
 * - `replaced`: a newer stream of the same session took its place, with a record of its own.
 * - `ended`: the session ended or belongs to another scheduler. This scheduler no longer holds it.
 */
export type StreamState = "connected" | "dropped" | "detached" | "replaced" | "ended";

export type StreamTransition = "drop" | "detach" | "replace" | "end";

/** The transitions of a session's stream. A stream never comes back: a reconnect is a new record. */
export const STREAM_MACHINE: StateMachine<StreamState, StreamTransition> = {
  name: "stream",
  initial: "connected",
  transitions: {
    drop: { connected: "dropped" },
    detach: { connected: "detached" },
    replace: { connected: "replaced", dropped: "replaced", detached: "replaced" },
    end: { connected: "ended", dropped: "ended", detached: "ended" },
  },
};

/**
 * What a session's worker may be assigned, as far as its worker reported it: nothing while it is `starting`, tasks
 * while it is `ready`, nothing any more while it is `draining`. A drain may come before the startup is over
 * (`drainingInStartup`): a worker that ends then has failed to start.
 */
export type IntakeState = "starting" | "ready" | "drainingInStartup" | "draining";

export type IntakeTransition = "finishStartup" | "drain";

/** The transitions of what a session may be assigned. */
export const INTAKE_MACHINE: StateMachine<IntakeState, IntakeTransition> = {
  name: "intake",
  initial: "starting",
  transitions: {
    finishStartup: { starting: "ready", drainingInStartup: "draining" },
    drain: { starting: "drainingInStartup", ready: "draining" },
  },
};
