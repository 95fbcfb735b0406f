/** The role of the store that reads queues with their depths, and writes their pauses, limits, weights and settings. */
import type { BuildRule } from "../domain/builds/build-rule.ts";
import type { QueueModes } from "../domain/mechanisms/mechanism.ts";
import type { RetryDefaults } from "../domain/tasks/outcome/retry-defaults.ts";

/** How many tasks may wait in a queue. */
export interface QueueLimit {
  readonly max: number;
  readonly reason: string;
  readonly since: Date;
}

/** A queue with a limit, and what waits in it. */
export interface LimitedQueue extends QueueLimit {
  readonly name: string;
  /** Ready and scheduled tasks, counted up to one more than the limit. */
  readonly waiting: number;
}

/** Settings of a queue that ConfigureQueue sets; one that is missing has its default. Kept as one JSON value. */
export interface QueueSettings extends RetryDefaults, QueueModes {
  /** Days for which ended tasks are kept, fewer than those of the scheduler. */
  readonly keepDays?: number;
  /** Which builds its tasks run on. */
  readonly builds?: BuildRule;
}

/** A change of a queue's settings. */
export interface QueueChange {
  readonly set: QueueSettings;
  readonly clear: readonly (keyof QueueSettings)[];
  readonly reason: string;
  /** What the event has of it, beside the queue and the reason. */
  readonly attributes: Readonly<Record<string, string>>;
}

/** A queue's own row. */
export interface QueueRow {
  readonly name: string;
  readonly pauseTime: Date | undefined;
  readonly pauseReason: string | undefined;
  readonly limit?: QueueLimit | undefined;
  /** Its share among the queues that the same workers serve. */
  readonly weight: number;
  /** Why and when the weight was set; undefined when it never was. */
  readonly weightSet?: { readonly reason: string; readonly since: Date } | undefined;
  readonly settings?: QueueSettings | undefined;
  /** Why and when the settings were last changed; undefined while there are none. */
  readonly settingsSet?: { readonly reason: string; readonly since: Date } | undefined;
}

/** A queue with its depth. */
export interface QueueDepth extends QueueRow {
  readonly ready: number;
  readonly scheduled: number;
  readonly active: number;
  readonly oldestReadyAgeMs: number | undefined;
  /** The same of tasks without an attempt that counts; undefined when none of them is ready. */
  readonly oldestFirstAgeMs?: number | undefined;
  /** Number of its task types; `types` holds those with the most ready tasks. */
  readonly typeCount: number;
  readonly types: readonly TypeDepth[];
}

/** Depth of one task type in a queue. */
export interface TypeDepth {
  readonly type: string;
  readonly ready: number;
  readonly scheduled: number;
  readonly active: number;
}

/** Depth of one class. */
export interface ClassDepth {
  readonly classId: number;
  readonly ready: number;
  readonly scheduled: number;
  /** Assigned and running. */
  readonly active: number;
  /** Those of them that their worker has accepted. */
  readonly running: number;
  readonly oldestReadyAgeMs: number | undefined;
  /** The same of tasks without an attempt that counts; undefined when none of them is ready. */
  readonly oldestFirstAgeMs?: number | undefined;
}

/** Queues and their depths. */
export interface QueueStore {
  listQueues(): Promise<QueueRow[]>;
  getQueue(name: string): Promise<QueueRow | undefined>;
  /** Names of the queues that are paused. */
  pausedQueues(): Promise<string[]>;
  /** Pauses a queue for this reason; resumes it when the reason is undefined. */
  setQueuePaused(name: string, reason: string | undefined): Promise<QueueRow>;
  /** Queues that have a limit. */
  limitedQueues(): Promise<LimitedQueue[]>;
  /** Limits a queue; ends the limit when `max` is undefined. */
  setQueueLimit(name: string, max: number | undefined, reason: string): Promise<void>;
  /** Weights of the queues that have another one than 1. */
  queueWeights(): Promise<ReadonlyMap<string, number>>;
  setQueueWeight(name: string, weight: number, reason: string): Promise<void>;
  /** Settings of the queues that have any. */
  queueSettings(): Promise<ReadonlyMap<string, QueueSettings>>;
  /** Sets and clears settings of a queue; those that the change does not name stay. */
  configureQueue(name: string, change: QueueChange): Promise<void>;
  /** Queues by name, after `afterName` or only `name`, each with its `maxTypes` largest types. */
  queueDepths(filter: {
    name?: string;
    afterName?: string | undefined;
    limit: number;
    maxTypes: number;
  }): Promise<QueueDepth[]>;
  depths(): Promise<ClassDepth[]>;
}
