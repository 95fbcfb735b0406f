/** Messages between the main thread and the thread of the link: plain objects, many in one post. */
import type { Facts } from "@muster/common/facts";
import type { LimitReport } from "../adaptive/adaptive-limit.ts";
import type { QuietExpectation } from "../attempt/phases/expectation.ts";
import type { LogLineMessage } from "../task-log/attempt-log.ts";
import type { AssignmentGroup, KeptStep } from "./assignment.ts";
import type { Measures } from "./health/measures.ts";
import type { Cost, Outcome, PhaseEnd } from "./outcome.ts";

/** A startup phase. */
export interface StartupPhaseMessage {
  readonly phase: string;
  readonly outcome: "ok" | "started" | "failed";
  readonly elapsedMs: number;
  readonly detail: string;
  readonly attributes: Readonly<Record<string, string>>;
}

/** The slots of an attempt whose handler waits. */
export interface SlotReleaseMessage {
  /** When they were freed, on the monotonic clock. */
  readonly sinceMs: number;
  /** The first tasks that it waits for. */
  readonly taskIds: readonly string[];
  /** All of them. */
  readonly taskCount: number;
  /** What it waits for besides. */
  readonly reason: string;
  /** Its wait is over, and there is no room for it yet. */
  readonly returning: boolean;
}

/** Why an assignment is rejected. */
export type RejectReason = "UNKNOWN_TYPE" | "NO_SLOT" | "DRAINING" | "PAUSED" | "RESOURCE_MISSING";

/** The error that ends the worker, as it is reported to the scheduler. */
export interface FatalMessage {
  readonly phase: string;
  readonly exceptionClass: string;
  readonly exceptionMessage: string;
  readonly traceback: string;
  readonly exitCode: number;
  /** Attempt whose handler threw it; empty when unknown. */
  readonly attemptId: string;
  /** It is sent after the acknowledgement of the results that were reported before. */
  readonly afterResults?: boolean;
}

/** A resource that is being loaded or could not be loaded. */
export interface ResourceStateMessage {
  readonly resource: string;
  /** False: loading failed. */
  readonly loading: boolean;
  /** When that began, on the monotonic clock. */
  readonly sinceMs: number;
  /** Failures in a row. */
  readonly failures: number;
  /** Of the last failure; empty when there was none. */
  readonly error: string;
}

/** Waiting tasks of one kind, and why this worker gets none; `removed_by` is empty when other workers were faster. */
export interface QueueViewMessage {
  readonly queue: string;
  readonly type: string;
  readonly ready: number;
  readonly removed_by: string;
  readonly detail: string;
}

/** Where the main thread of an isolated handler's process is. */
export interface IsolatedStack {
  readonly attemptId: string;
  readonly pid: number;
  /** The innermost first; undefined when its guard did not answer. */
  readonly frames: readonly string[] | undefined;
}

/** Main thread to link. */
export type ToLink =
  | { readonly kind: "startupPhase"; readonly phase: StartupPhaseMessage }
  | { readonly kind: "accept"; readonly attemptIds: readonly string[] }
  | {
      readonly kind: "reject";
      readonly attemptId: string;
      readonly reason: RejectReason;
      readonly detail: string;
    }
  | {
      readonly kind: "event";
      readonly attemptId: string;
      readonly name: string;
      readonly elapsedMs: number;
      readonly attributes: Readonly<Record<string, string>> | undefined;
    }
  /** How far a handler is, for the next attempt of its task. */
  | {
      readonly kind: "checkpoint";
      readonly attemptId: string;
      /** Number within the attempt, from 1. */
      readonly sequence: number;
      readonly value: string | Uint8Array;
      readonly contentType: string;
    }
  /** A limit has changed. */
  | { readonly kind: "limit"; readonly type: string; readonly limit: LimitReport }
  /** The handler will be silent for a while. */
  | ({ readonly kind: "expect"; readonly attemptId: string } & QuietExpectation)
  /** Iterations that the task has begun. */
  | { readonly kind: "iterations"; readonly attemptId: string; readonly count: number }
  | {
      readonly kind: "phaseStarted";
      readonly attemptId: string;
      readonly taskId: string;
      readonly taskType: string;
      /** Position among the attempt's phases: names may repeat. */
      readonly number: number;
      readonly phase: string;
      /** When it began, on the monotonic clock. */
      readonly sinceMs: number;
      /** Progress restarts its watchdog. */
      readonly movable: boolean;
      /** Threshold of its watchdog; 0: never, undefined: none is set. */
      readonly warnAfterMs: number | undefined;
      /** Hard limit from its start, 0 for none; undefined: that of the task, or none. */
      readonly timeoutMs: number | undefined;
      readonly context: Readonly<Record<string, string>>;
    }
  /** Its handler has given a phase another threshold or limit. */
  | {
      readonly kind: "phaseExtended";
      readonly attemptId: string;
      readonly number: number;
      /** From its start; undefined: as before. */
      readonly warnAfterMs: number | undefined;
      readonly timeoutMs: number | undefined;
    }
  | {
      readonly kind: "phaseEnded";
      readonly attemptId: string;
      readonly number: number;
      readonly how: PhaseEnd;
    }
  | {
      readonly kind: "progress";
      readonly attemptId: string;
      readonly fraction: number | undefined;
      readonly done: number | undefined;
      readonly total: number | undefined;
      /** Empty when unknown. */
      readonly unit: string;
      readonly message: string;
      readonly shed: number;
    }
  | {
      readonly kind: "output";
      readonly attemptId: string;
      readonly sequence: number;
      readonly data: string | Uint8Array;
    }
  /** Lines that the handler logged, in order. */
  | {
      readonly kind: "logs";
      readonly attemptId: string;
      readonly lines: readonly LogLineMessage[];
      /** The number after the last one, when the handler has ended. */
      readonly endSequence: number | undefined;
      /** Lines that the limit of the attempt left out. */
      readonly dropped: number;
    }
  /** A named step has begun or ended. */
  | { readonly kind: "step"; readonly attemptId: string; readonly step: Omit<KeptStep, "skip"> }
  /** What the handler has measured and noted so far. */
  | {
      readonly kind: "handlerReport";
      readonly attemptId: string;
      readonly metrics: Readonly<Record<string, number>>;
      readonly facts: Facts;
    }
  /** The slots of an attempt were freed, or are taken again. */
  | {
      readonly kind: "slot";
      readonly attemptId: string;
      readonly release: SlotReleaseMessage | undefined;
    }
  | { readonly kind: "cancelling"; readonly attemptId: string }
  /** A batch handler was called with so many attempts. */
  | { readonly kind: "batch"; readonly type: string; readonly size: number }
  | {
      readonly kind: "pauseKey";
      readonly requestId: number;
      readonly attemptId: string;
      readonly key: string;
      /** When the pause ends, on the monotonic clock. */
      readonly untilMs: number;
      readonly reason: string;
    }
  | {
      readonly kind: "result";
      readonly attemptId: string;
      readonly outcome: Outcome;
      readonly cost: Cost;
      /** Main has to be notified of its acknowledgement. */
      readonly notify: boolean;
    }
  /** Handlers that were called, each with the milliseconds since its attempt was received. */
  | { readonly kind: "started"; readonly attemptIds: string[]; readonly elapsedMs: number[] }
  /** Plain successes, without warnings or phases. */
  | {
      readonly kind: "succeeded";
      readonly contentType: string;
      readonly attemptIds: string[];
      readonly outputs: (string | Uint8Array)[];
      readonly runMs: number[];
    }
  /** The handler of a revoked attempt has returned, or was never called. */
  | { readonly kind: "forget"; readonly attemptId: string }
  | { readonly kind: "resources"; readonly resources: readonly string[] }
  | { readonly kind: "resourceStates"; readonly states: readonly ResourceStateMessage[] }
  /** The pause of a cause; without a reason it has ended. */
  | { readonly kind: "paused"; readonly by: PauseCause; readonly reason: string | undefined }
  /** What the probe returned: why the worker pauses, or undefined. */
  | { readonly kind: "probed"; readonly reason: string | undefined }
  | { readonly kind: "probeFailed" }
  | { readonly kind: "draining"; readonly reason: string; readonly deadlineMs: number }
  /** Where the handlers are that have processes of their own. */
  | { readonly kind: "isolatedStacks"; readonly processes: readonly IsolatedStack[] }
  | { readonly kind: "fatal"; readonly fatal: FatalMessage }
  /** Flush the outbox for at most `flushMs`, send Goodbye, end. */
  | { readonly kind: "finish"; readonly reason: string; readonly flushMs: number };

/** Who pauses a worker: its program, or an operator through the scheduler. */
export type PauseCause = "program" | "operator";

/** Link to main thread. */
export type FromLink =
  | { readonly kind: "connecting"; readonly address: string; readonly first: boolean }
  | {
      readonly kind: "registered";
      readonly address: string;
      readonly serverId: string;
      readonly first: boolean;
      readonly maxResultBytes: number;
      /** Set while an operator has paused the worker. */
      readonly pauseReason: string | undefined;
      readonly phaseWarningsMs: Readonly<Record<string, number>>;
      /** The scheduler follows the limits that the worker adapts. */
      readonly followsLimits: boolean;
      /** The scheduler counts freed slots. */
      readonly slotRelease: boolean;
    }
  | {
      readonly kind: "disconnected";
      readonly address: string;
      readonly error: string;
      readonly retryInMs: number;
    }
  | { readonly kind: "assignments"; readonly groups: readonly AssignmentGroup[] }
  | {
      readonly kind: "cancel";
      readonly attemptId: string;
      readonly reason: string;
      readonly graceMs: number | undefined;
      readonly timedOut: boolean;
    }
  | { readonly kind: "revoke"; readonly attemptId: string; readonly reason: string }
  /** Results that are committed, of those that main has to be notified of. */
  | { readonly kind: "acknowledged"; readonly attemptIds: readonly string[] }
  | { readonly kind: "refused"; readonly attemptId: string; readonly stale: boolean; readonly detail: string }
  /** A pause of a key was stored, and ends in `leftMs`; without that it was not. */
  | {
      readonly kind: "keyPauseAnswered";
      readonly requestId: number;
      readonly leftMs: number | undefined;
      readonly error: string;
    }
  /** A checkpoint and those before it are durable; with an error they are not stored. */
  | {
      readonly kind: "checkpointAnswered";
      readonly attemptId: string;
      readonly sequence: number;
      readonly error: string;
    }
  | { readonly kind: "drain"; readonly reason: string; readonly deadlineMs: number | undefined }
  /** Why the measures of the thread pause the worker; undefined when none does. */
  | { readonly kind: "pressure"; readonly reason: string | undefined }
  | { readonly kind: "pause"; readonly reason: string }
  | { readonly kind: "resume"; readonly reason: string }
  | { readonly kind: "prepareResource"; readonly resource: string; readonly waitingTasks: number }
  | { readonly kind: "releaseResource"; readonly resource: string; readonly reason: string }
  /** Where are the handlers that have processes of their own? */
  | { readonly kind: "isolatedStacks" }
  | { readonly kind: "queueView"; readonly entries: readonly QueueViewMessage[] }
  | {
      readonly kind: "log";
      readonly level: "debug" | "info" | "warn";
      readonly event: string;
      readonly fields: Readonly<Record<string, unknown>>;
      readonly message: string;
    }
  | {
      readonly kind: "verdict";
      readonly status: string;
      readonly reason: string;
      readonly message: string;
    }
  | { readonly kind: "superseded"; readonly message: string }
  | { readonly kind: "startupTimeout"; readonly lastError: string }
  /** Probes and metrics are served. */
  | { readonly kind: "serving"; readonly address: string }
  /** They cannot be served. */
  | { readonly kind: "cannotServe"; readonly message: string }
  /** Measurements, once a heartbeat. */
  | { readonly kind: "measures"; readonly measures: Measures }
  /** The link ended as requested; results that were never acknowledged are counted. */
  | { readonly kind: "ended"; readonly unackedResults: number; readonly unsentLogLines: number };
