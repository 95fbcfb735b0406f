/** The fields of a task, its states and its attempts. */
import type { Cost } from "../matching/capacity.ts";
import type { ScheduleTick } from "../schedules/schedule.ts";
import type { MetricSums } from "./attempts/handler-report.ts";
import type { Steps } from "./attempts/step.ts";
import type { TaskWatchdogs } from "./attempts/watchdog.ts";
import type { DependencyCause, SubmittedAfter } from "./dependencies/dependencies.ts";
import type { Fairness } from "./fairness.ts";
import type { Hold } from "./hold.ts";
import type { CircuitRule } from "./limits/circuit.ts";
import type { ConcurrencyKey, LimitReached } from "./limits/concurrency.ts";
import type { RateLimit } from "./limits/rate-limit.ts";
import type { Failure, Warning } from "./outcome/failure.ts";
import type { RetryPolicy } from "./outcome/retry.ts";
import type { EndState, TaskState } from "./task-state.ts";
import type { TaskTrace } from "./trace.ts";
import type { OnConflict, UniqueRule } from "./unique-keys/unique-rule.ts";

export { END_STATES, type EndState, OPEN_STATES, type OpenState, type TaskState } from "./task-state.ts";

/** What a worker must have to be eligible. */
export interface Requirements {
  readonly labels: Readonly<Record<string, string>>;
  readonly resources: readonly string[];
  /** What it takes of the worker's capacities; undefined for one slot and nothing else. */
  readonly cost?: Cost | undefined;
}

/** Hard limits in milliseconds; absent means none. */
export interface Timeouts {
  readonly queueWaitMs?: number;
  readonly runMs?: number;
  readonly phasesMs?: Readonly<Record<string, number>>;
}

/** What a producer may set apart from the payload; kept as one JSON value because most tasks set none. */
export interface TaskOptions {
  readonly retry?: RetryPolicy;
  readonly timeouts?: Timeouts;
  /** Iterations that its attempts may begin together. */
  readonly maxIterations?: number;
  /** Set by the store: iterations that its attempts have begun, up to the last report. */
  readonly iterations?: number;
  /** Set by the store: named steps of its handler. */
  readonly steps?: Steps;
  /** Set by the store: it has a checkpoint, which its next attempt gets. */
  readonly checkpointed?: true;
  /** Set by the store: the last progress of earlier attempts; `at` is a text. */
  readonly earlierProgress?: Omit<Progress, "at"> & { readonly at: string };
  /** Set by the scheduler for a task whose trace is recorded. */
  readonly trace?: TaskTrace;
  readonly watchdogs?: TaskWatchdogs;
  /** Names by which lists find it; absent for none. */
  readonly tags?: readonly string[];
  /** How long it holds its unique key; absent means the default. */
  readonly unique?: UniqueRule;
  /** Set by the scheduler: the tick of the schedule that submitted it. */
  readonly tick?: ScheduleTick;
  /** Set by the store: attempts up to this epoch ran what the task was before a submit replaced it. */
  readonly replacedEpoch?: number;
  /** Set by the store: why a concurrency key ended it, or asked it to end. */
  readonly limited?: Limited;
  /** Set by the store: the end of another task that ended it before it started. */
  readonly dependency?: DependencyCause;
}

/** A concurrency key that ended a task: as the newest one, or for a newer one. */
export type Limited =
  | ({ readonly kind: "refused" } & LimitReached)
  | { readonly kind: "superseded"; readonly key: string; readonly by: number };

/** Requeues that count against a task later; a count that is missing is 0. */
export interface RequeueCounts {
  /** Assignments that were not accepted in time. */
  readonly unaccepted?: number;
  /** Deaths of its worker's process while it ran. */
  readonly deaths?: number;
  /** Losses of its worker while it ran, of which it is not known that the process died. */
  readonly silences?: number;
}

/** A valid task to be accepted. */
export interface NewTask {
  readonly queue: string;
  readonly type: string;
  readonly requirements: Requirements;
  readonly payload: Uint8Array;
  readonly contentType: string;
  readonly headers: Readonly<Record<string, string>> | undefined;
  readonly priority: number;
  /** Start no sooner than this long after the submit; undefined means now. */
  readonly delayMs: number | undefined;
  /** Start no sooner than this moment, milliseconds since the epoch. Excludes `delayMs`. */
  readonly runAtMs: number | undefined;
  readonly uniqueKey: string | undefined;
  /** What becomes of it when its unique key is held. @default "return" */
  readonly onConflict?: OnConflict;
  /** In the order of the keys, with that of the circuit; undefined for none. */
  readonly concurrency?: readonly ConcurrencyKey[] | undefined;
  /** In the order of the keys; undefined for none. */
  readonly rateLimits?: readonly RateLimit[] | undefined;
  readonly circuit?: CircuitRule | undefined;
  /** Batch that it becomes a member of. */
  readonly batchId?: number | undefined;
  /** Tasks that it waits for; undefined for none. */
  readonly after?: readonly SubmittedAfter[] | undefined;
  readonly fairness?: Fairness | undefined;
  readonly options: TaskOptions | undefined;
}

/** How far a handler is. */
export interface Progress {
  readonly fraction?: number;
  readonly done?: number;
  readonly total?: number;
  readonly unit?: string;
  readonly message: string;
  /** As of `at`, as `ProgressRate`. */
  readonly perSecond?: number;
  readonly leftMs?: number;
  readonly at: Date;
}

/** How long a phase of an attempt took. */
export interface PhaseTiming {
  readonly phase: string;
  readonly durationMs: number;
  readonly failed: boolean;
  /** Its hard limit where its handler set one, 0 for none: it took the place of that of the task. */
  readonly timeoutMs?: number;
}

/** Cost of an attempt as the worker measured it. */
export interface AttemptMetrics {
  readonly runMs: number;
  readonly phases: readonly PhaseTiming[];
  readonly peakRssBytes: number;
}

/** One try of a task that has ended without ending the task, or the last one. */
export interface AttemptRecord {
  readonly epoch: number;
  readonly number: number;
  readonly workerId: string | undefined;
  /** The build of that worker; absent when it named none. */
  readonly build?: string | undefined;
  readonly outcome: string;
  readonly failure: Failure | undefined;
  /** What its handler measured; absent for nothing, and where that is not read. */
  readonly measured?: MetricSums | undefined;
  readonly assignTime: Date | undefined;
  readonly acceptTime: Date | undefined;
  readonly startTime: Date | undefined;
  readonly endTime: Date | undefined;
}

/** Attempts of a task that did not end it: of many the first and the last. */
export interface Attempts {
  /** Oldest first. */
  readonly kept: readonly AttemptRecord[];
  /** How many are left out of the middle. */
  readonly omitted: number;
  /** What the latest attempt with measurements measured; undefined when none has any. */
  readonly lastMeasured?: { readonly epoch: number; readonly sums: MetricSums } | undefined;
}

/** A task as kept in the store. */
export interface TaskRecord {
  readonly id: number;
  readonly queue: string;
  readonly type: string;
  readonly requirements: Requirements;
  readonly state: TaskState;
  /** Terminal detail; undefined while open. */
  readonly detail: string | undefined;
  readonly priority: number;
  readonly payload: Uint8Array | undefined;
  readonly contentType: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly uniqueKey: string | undefined;
  readonly concurrency?: readonly ConcurrencyKey[] | undefined;
  readonly rateLimits?: readonly RateLimit[] | undefined;
  readonly circuit?: CircuitRule | undefined;
  readonly fairness?: Fairness | undefined;
  readonly options: TaskOptions | undefined;
  readonly attemptCount: number;
  readonly outOfMemoryCount: number;
  readonly requeueCounts: RequeueCounts | undefined;
  readonly classId: number;
  /** It runs alone in its process. */
  readonly alone: boolean;
  readonly epoch: number;
  readonly sessionId: number | undefined;
  readonly workerId: string | undefined;
  /** The build of that worker; only of a task that was read by itself, and absent when the worker named none. */
  readonly build?: string | undefined;
  readonly createTime: Date;
  /** When it last became ready to start, by its creation, its time or a requeue; of a task that waits, until its time. */
  readonly readyTime: Date;
  /** When it may start, a held one after its release; undefined for now, and for a task that waits for tasks. */
  readonly runTime: Date | undefined;
  /** It waits for other tasks to end. */
  readonly waitsForTasks?: boolean | undefined;
  /** It is held; undefined when it is not. */
  readonly hold?: Hold | undefined;
  readonly assignTime: Date | undefined;
  readonly acceptTime: Date | undefined;
  readonly startTime: Date | undefined;
  readonly finishTime: Date | undefined;
  readonly phase: string | undefined;
  readonly phaseTime: Date | undefined;
  readonly progress: Progress | undefined;
  readonly output: Uint8Array | undefined;
  readonly outputContentType: string;
  readonly failure: Failure | undefined;
  readonly warnings: readonly Warning[];
  readonly metrics: AttemptMetrics | undefined;
  readonly cancelTime: Date | undefined;
  readonly cancelReason: string | undefined;
  /** Sizes of payload and output, whether they were read or not. */
  readonly payloadBytes?: number;
  readonly outputBytes?: number;
  /** Fields that hold something and were not read because of their size. */
  readonly unread?: readonly string[];
}

/** True when the task has ended. */
export function hasEnded(state: TaskState): state is EndState {
  return state === "succeeded" || state === "failed" || state === "cancelled";
}
