/** The role of the store that reads, follows, cancels and retries single tasks. */
import type { AttemptKey } from "../domain/ids.ts";
import type { EditRefused, FieldChange, TaskEdit } from "../domain/tasks/edit.ts";
import type { Hold } from "../domain/tasks/hold.ts";
import type { OutcomeDecision } from "../domain/tasks/outcome/outcome.ts";
import type { AttemptRecord, Attempts, TaskRecord, TaskState } from "../domain/tasks/task.ts";
import type { TaskConditions, TimeRange } from "../domain/tasks/task-filter.ts";
import type { KeyHolder } from "../domain/tasks/unique-keys/unique-key.ts";
import type { AttemptRow, OutputChunk } from "./attempts.ts";
import type { WaitingTask } from "./classes.ts";

/** Filters of a task listing. */
export interface TaskFilter extends TaskConditions {
  /** Empty for all. */
  readonly states: readonly TaskState[];
  /** Of ended tasks, or `held`. */
  readonly details: readonly string[];
  readonly created: TimeRange;
  readonly ended: TimeRange;
  /** Only tasks with a smaller id. */
  readonly beforeId: number | undefined;
  readonly limit: number;
}

/** A page of a list. */
export interface TaskPage {
  /** Newest first. */
  readonly tasks: readonly TaskRecord[];
  /** Further ones have smaller ids; undefined when every task was looked at, or `tasks` has as many as asked for. */
  readonly beforeId: number | undefined;
}

/** The state of a task that a follower has received. */
export interface SeenTask {
  readonly taskId: number;
  /** Changes with every write of the task's row. */
  readonly version: string;
  /** Position of the last chunk of its output. */
  readonly epoch: number;
  readonly sequence: number;
}

/** The result of a request to cancel; undefined when there is no such task. */
export type CancelResult =
  | { readonly outcome: "cancelled"; readonly classId: number }
  | { readonly outcome: "ended" }
  | { readonly outcome: "asked"; readonly attempt: AttemptKey; readonly sessionId: number }
  | undefined;

/** How a task is to be retried. */
export interface RetryWish {
  /** Its next attempt gets no checkpoint and no step. */
  readonly afresh?: boolean;
  /** Only this step, which has failed, runs again; the task has ended. Not with `afresh`. */
  readonly step?: string | undefined;
}

/** The result of a request to retry; undefined when there is no such task. */
export type RetryResult =
  | { readonly outcome: "queued"; readonly task: WaitingTask; readonly waitsForTasks?: boolean }
  | { readonly outcome: "active" }
  /** It has ended, and has no failed step of the name; `state` is that of the step, if there is one. */
  | { readonly outcome: "step_not_failed"; readonly state: string | undefined }
  /** It waits and is held. */
  | { readonly outcome: "held" }
  /** It has ended, and another task holds its unique key. */
  | {
      readonly outcome: "key_held";
      readonly key: string;
      readonly holderId: number;
      readonly holderState: TaskState;
    }
  /** It waits for other tasks. */
  | { readonly outcome: "waits_for_tasks" }
  /** It has ended, and a task whose success it waits for has ended otherwise; undefined when its record was dropped. */
  | {
      readonly outcome: "dependency_failed";
      readonly predecessorId: number;
      readonly state: TaskState | undefined;
    }
  | undefined;

/** Tasks that are held. */
export interface HeldTasks {
  readonly count: number;
  /** Those that have been held for longest, the longest first. */
  readonly tasks: readonly { readonly id: number; readonly hold: Hold }[];
}

/** The result of a request to hold a task; undefined when there is no such task. */
export type HoldResult =
  | { readonly outcome: "held"; readonly classId: number }
  /** It was held before; nothing was changed. */
  | { readonly outcome: "held_before" }
  /** It is assigned or running. */
  | { readonly outcome: "active" }
  | { readonly outcome: "ended" }
  | undefined;

/** The result of a request to release a held task; undefined when there is no such task. */
export type ReleaseResult =
  | {
      readonly outcome: "released";
      readonly task: WaitingTask;
      readonly waitsForTasks: boolean;
      /** Until its start time, milliseconds; undefined when it has none. */
      readonly waitMs: number | undefined;
    }
  | { readonly outcome: "not_held" }
  | { readonly outcome: "ended" }
  | undefined;

/** The result of a request to edit a task; undefined when there is no such task. */
export type EditResult =
  | {
      readonly outcome: "edited";
      readonly task: WaitingTask;
      /** Its class before the edit: another one where a task with a strict order has another priority. */
      readonly classBefore: number;
      readonly changes: readonly FieldChange[];
      /** The attempt that holds it, which was assigned before the edit; undefined while it is queued. */
      readonly attempt: { readonly key: AttemptKey; readonly sessionId: number } | undefined;
      /** Milliseconds until its new start, 0 for now; undefined when that was not edited, and while it is held. */
      readonly startsIn: number | undefined;
    }
  /** It was as the edit wants it. */
  | { readonly outcome: "unchanged" }
  | { readonly outcome: "refused"; readonly why: EditRefused }
  | undefined;

/** The result of a request to take a task from its worker; undefined when there is no such task. */
export type RevokeResult =
  | {
      readonly outcome: "revoked";
      /** The attempt that was ended, as it was. */
      readonly attempt: AttemptRow;
      readonly decision: OutcomeDecision;
      /** The worker that had it. */
      readonly workerId: string;
    }
  /** It is at no worker. */
  | { readonly outcome: "waits" }
  | { readonly outcome: "ended" }
  | undefined;

/** Tasks, one at a time or as a list. */
export interface TaskStore {
  getTask(id: number): Promise<TaskRecord | undefined>;
  /** The task that a unique key of the queue belongs to; undefined when there is none, or its record is gone. */
  keyOwner(queue: string, key: string): Promise<KeyHolder | undefined>;
  /** Of many the first and the last, with the beginning of their tracebacks. */
  getAttempts(id: number): Promise<AttemptRecord[]>;
  /** The same with the number that is left out. */
  countedAttempts(id: number): Promise<Attempts>;
  /** They are looked for among a bounded number of tasks. */
  listTasks(filter: TaskFilter): Promise<TaskPage>;
  longestHeld(limit: number): Promise<HeldTasks>;
  /** Ends a queued task, or marks an active one. */
  cancelTask(id: number, reason: string): Promise<CancelResult>;
  /**
   * Queues an ended or waiting task to run now, or when the tasks that it waits for have ended.
   *
   */
  retryTask(id: number, wish?: RetryWish): Promise<RetryResult>;
  /** Changes an open task; a field that the edit does not have stays. */
  editTask(id: number, edit: TaskEdit, reason: string): Promise<EditResult>;
  /** Keeps a queued task from starting until it is released. A second hold changes nothing. */
  holdTask(id: number, reason: string): Promise<HoldResult>;
  /** Ends a hold: the task waits for what it waited for before. */
  releaseTask(id: number, reason: string): Promise<ReleaseResult>;
  /**
   * Ends the attempt of an active task as `decide` says, and has the scheduler that holds its worker's stream revoke it.
   *
   * @param schedulerId That asks: it is sent no command.
   */
  revokeTask(
    id: number,
    request: { readonly reason: string; readonly schedulerId: string },
    decide: (attempt: AttemptRow) => OutcomeDecision,
  ): Promise<RevokeResult>;
  /** Chunks after a position, in order: at most `limit` and, unless the first one alone is larger, `maxBytes`. */
  outputAfter(
    taskId: number,
    after: { readonly epoch: number; readonly sequence: number },
    limit: number,
    maxBytes: number,
  ): Promise<OutputChunk[]>;
  /** The task without payload and output, and the version of its row. */
  followedTask(id: number): Promise<{ readonly task: TaskRecord; readonly version: string } | undefined>;
  /**
   * Ids of the tasks that changed since they were read. One statement, not tried again.
   *
   * @param withOutput Counts further output as a change.
   */
  changedTasks(seen: readonly SeenTask[], withOutput: boolean): Promise<number[]>;
}
