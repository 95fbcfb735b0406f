/** The role of the store that reads, follows, cancels and retries single tasks. */
import type { AttemptKey } from "../domain/ids.ts";
import type { AttemptRecord, Attempts, TaskRecord, TaskState } from "../domain/tasks/task.ts";
import type { KeyHolder } from "../domain/tasks/unique-key.ts";
import type { OutputChunk } from "./attempts.ts";
import type { WaitingTask } from "./classes.ts";

/** Filters of a task listing; undefined lets everything through. */
export interface TaskFilter {
  readonly states: readonly TaskState[];
  readonly queue: string | undefined;
  readonly type: string | undefined;
  readonly detail: string | undefined;
  readonly workerId: string | undefined;
  /** Only tasks with a smaller id. */
  readonly beforeId: number | undefined;
  readonly limit: number;
  /** Tags that the task has, all of them. */
  readonly tags: readonly string[];
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

/** The result of a request to retry; undefined when there is no such task. */
export type RetryResult =
  | { readonly outcome: "queued"; readonly task: WaitingTask; readonly waitsForTasks?: boolean }
  | { readonly outcome: "active" }
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

/** Tasks, one at a time or as a list. */
export interface TaskStore {
  getTask(id: number): Promise<TaskRecord | undefined>;
  /** The task that a unique key of the queue belongs to; undefined when there is none, or its record is gone. */
  keyOwner(queue: string, key: string): Promise<KeyHolder | undefined>;
  /** Of many the first and the last, with the beginning of their tracebacks. */
  getAttempts(id: number): Promise<AttemptRecord[]>;
  /** The same with the number that is left out. */
  countedAttempts(id: number): Promise<Attempts>;
  listTasks(filter: TaskFilter): Promise<TaskRecord[]>;
  /** Ends a queued task, or marks an active one. */
  cancelTask(id: number, reason: string): Promise<CancelResult>;
  /** Queues an ended or waiting task to run now, or when the tasks that it waits for have ended. */
  retryTask(id: number): Promise<RetryResult>;
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
