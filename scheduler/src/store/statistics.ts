/** The role of the store that counts failures and successes within a window of time. */
import type { Facts } from "@muster/common/facts";

/** Tasks of one queue and type that succeeded. */
export interface CompletionCount {
  readonly queue: string;
  readonly type: string;
  readonly count: number;
}

/** Successes as they were counted. */
export interface Completions {
  readonly counts: readonly CompletionCount[];
  /** Since the living scheduler that wrote its counts longest ago did, milliseconds; undefined without a living one. */
  readonly ageMs: number | undefined;
}

/** Which failures are counted; undefined lets everything through. */
export interface FailureFilter {
  readonly windowMs: number;
  readonly queue: string | undefined;
  readonly type: string | undefined;
  readonly workerId: string | undefined;
  /** Groups also by type and top frame, with counts over time. @default false */
  readonly byFrame?: boolean;
}

/** Where failures of a group were, and when. */
export interface FailurePlace {
  /** Empty when the records do not have it. */
  readonly type: string;
  /** Empty without a traceback that has one. */
  readonly topFrame: string;
  /** Failures in each step of the window. */
  readonly counts: readonly number[];
}

/** Failures with the same cause and code, and with the same place when groups have one. */
export interface FailureGroup {
  /** Of attempts the class of the failure, of tasks the detail of their end. */
  readonly cause: string;
  /** Empty when none was recorded. */
  readonly code: string;
  readonly count: number;
  readonly firstTime: Date;
  readonly lastTime: Date;
  /** The last one of them. */
  readonly example: {
    readonly taskId: number;
    /** Undefined when the task failed without an attempt. */
    readonly epoch: number | undefined;
    readonly message: string;
    /** Absent for none. */
    readonly facts?: Facts;
    /** Empty when there was no worker, or its record was dropped. */
    readonly workerId: string;
  };
  /** Only of groups by frame. */
  readonly place?: FailurePlace;
}

/** Failures of one kind. */
export interface FailureCounts {
  readonly count: number;
  /** Most failures first, at most 50. */
  readonly groups: readonly FailureGroup[];
  readonly groupCount: number;
}

/** Failures within a window. */
export interface FailureStatistics {
  readonly readTime: Date;
  /** Later than asked for when `truncated`. */
  readonly startTime: Date;
  readonly truncated: boolean;
  /** Time of each of `FailurePlace.counts`; only of groups by frame. */
  readonly stepMs?: number;
  readonly attempts: FailureCounts;
  readonly tasks: FailureCounts;
}

/** Counts of failures and successes. */
export interface StatisticsStore {
  failureStatistics(filter: FailureFilter): Promise<FailureStatistics>;
  /** Successes since then by queue and type; undefined when counting began later. */
  completionsSince(time: Date): Promise<Completions | undefined>;
  /** Successes of the last `windowMs`, by the database's clock. */
  recentCompletions(windowMs: number): Promise<Completions>;
  /**
   * Adds what a scheduler counted. A second call with the same number changes nothing.
   *
   * @param counts May be empty. Without waits only the time of the counts is written then.
   * @param waits Tasks that were assigned, by the bucket of their wait; empty for none.
   */
  addCompletions(
    schedulerId: string,
    number: number,
    counts: readonly CompletionCount[],
    waits?: readonly number[],
  ): Promise<void>;
}
