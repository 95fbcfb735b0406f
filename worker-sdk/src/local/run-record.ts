/** What a run without a scheduler reports: progress, events, steps, and how it ended. */
import type { FailureFacts } from "../errors.ts";

/** A child that a handler has started with `ctx.run()`. */
export interface LocalChild {
  /** Id of its task, for example `t-2`. */
  readonly id: string;
  /** Its task type. */
  readonly type: string;
  /** The input: parsed JSON, or bytes. */
  readonly input: unknown;
}

/** A progress report that was sent. Not every report is: a worker limits their rate, and sends the latest one always. */
export interface ProgressReport {
  /** Share from 0 to 1; undefined when the report is a count. */
  readonly fraction: number | undefined;
  /** Items done; undefined when the report is a share. */
  readonly done: number | undefined;
  /** Items in all; undefined when unknown, or the report is a share. */
  readonly total: number | undefined;
  /** What is counted; empty when unknown. */
  readonly unit: string;
  /** Empty without a message. */
  readonly message: string;
}

/** An event that was sent, for example `task.model_load.completed` or `task.model_load.stuck`. */
export interface RunEvent {
  /** Name of the event. */
  readonly name: string;
  /** Facts of the event, by name. */
  readonly attributes: Readonly<Record<string, string>>;
}

/** A rate limit key that the handler paused. */
export interface PausedKey {
  /** The key. */
  readonly key: string;
  /** Length of the pause in seconds. */
  readonly forS: number;
  /** Sentence that the handler gave. */
  readonly reason: string;
}

/** What the handler said with `ctx.expect()`. */
export interface RunExpectation {
  /** Seconds without a report that the handler expects. */
  readonly quietForS: number;
  /** Empty when it gave none. */
  readonly reason: string;
}

/** A step of `ctx.step()`, as it was last reported. */
export interface RunStep {
  /** Name of the step. */
  readonly name: string;
  /** `pending` while it runs, then how it ended. */
  readonly state: "pending" | "done" | "failed";
  /** What the step returned, parsed from JSON; undefined unless it is done. */
  readonly result: unknown;
  /** Code of its failure; empty unless it failed. */
  readonly code: string;
}

/** Why a run failed. */
export interface RunFailure {
  /** What follows from it under the retry policy. */
  readonly class: "retryable" | "non_retryable" | "timed_out" | "out_of_memory";
  /** Stable code, `[A-Z][A-Z0-9_]{0,63}`. */
  readonly code: string;
  /** What went wrong, in one sentence. */
  readonly message: string;
  /** Empty when nothing was thrown. */
  readonly traceback: string;
  /** Shortest delay before the next attempt, in seconds. */
  readonly retryAfterS: number | undefined;
  /** Facts for the caller. */
  readonly details: unknown;
  /** Facts for operators: those of the error, and those of `ctx.fact()`. */
  readonly facts: FailureFacts;
}

/** How a run ended. */
export interface RunOutcome<Output = unknown> {
  /** How it ended: `released` after a drain, `revoked` when it was taken away. */
  readonly state: "succeeded" | "failed" | "cancelled" | "released" | "revoked";
  /** The result as its caller gets it: parsed JSON, or bytes; undefined unless it succeeded. */
  readonly output: Output | undefined;
  /** Media type of the output; empty unless it succeeded. */
  readonly contentType: string;
  /** Set when it failed. */
  readonly failure: RunFailure | undefined;
  /** Why it was cancelled, released or revoked; empty otherwise. */
  readonly message: string;
  /** Secondary steps that failed although the task succeeded. */
  readonly warnings: readonly { readonly step: string; readonly code: string; readonly message: string }[];
  /** How long the handler ran, in seconds. */
  readonly runS: number;
  /** Named phases in the order of their start. */
  readonly phases: readonly {
    readonly phase: string;
    readonly durationS: number;
    readonly failed: boolean;
  }[];
}
