/** The role of the store that puts tasks into the queue and assigns them to sessions. */
import type { Checkpoint } from "../domain/tasks/attempts/checkpoint.ts";
import type { ConcurrencyKey, KeyState, OrderState } from "../domain/tasks/limits/concurrency.ts";
import type { LimitOutcome } from "../domain/tasks/limits/limit-plan.ts";
import type { BucketState } from "../domain/tasks/limits/rate-limit.ts";
import type { NewTask, TaskState } from "../domain/tasks/task.ts";
import type { AttemptRow } from "./attempts.ts";
import type { WaitingTask } from "./classes.ts";

/** A task to insert; assigned to a session in the same statement when `assignTo` is set. */
export interface TaskInsert {
  readonly task: NewTask;
  readonly classId: number;
  readonly assignTo: number | undefined;
}

/** The result of an insert. */
export interface InsertedTask {
  readonly id: number;
  /** True when `uniqueKey` was held and nothing was changed: `id` is the holder's. */
  readonly duplicate: boolean;
  /** True when it was assigned to the wanted session; false when that session has ended. */
  readonly assigned: boolean;
  /** Only when `uniqueKey` was held by the task `id`: what became of this one, and the holder's state. */
  readonly conflict?: { readonly outcome: "returned" | "replaced"; readonly state: TaskState };
  /** True when it waits for other tasks. */
  readonly waitsForTasks?: boolean;
  /** Only when its concurrency keys ended tasks. */
  readonly limits?: LimitOutcome;
}

/** A freshly claimed attempt with what its worker needs. */
export interface ClaimedAttempt extends AttemptRow {
  /** From the task's creation to the claim, milliseconds; undefined when the assignment is sent once more. */
  readonly sinceCreationMs: number | undefined;
  readonly payload: Uint8Array;
  readonly contentType: string;
  readonly headers: Readonly<Record<string, string>> | undefined;
  /** The last one of its task; absent when it has none. */
  readonly checkpoint?: Checkpoint;
}

/** The result of a claim of tasks with concurrency keys. */
export interface KeyedClaim {
  readonly claimed: readonly ClaimedAttempt[];
  /** Ids of the wanted tasks that wait still, because one of their keys is held by as many as its limit allows. */
  readonly turnedBack: readonly number[];
  /** Those of the keys of the wanted tasks that admit no more, after the claim. */
  readonly keys: readonly KeyState[];
  /** Those of the keys that have a strict order, after the claim; none when that was not asked. */
  readonly orders?: readonly OrderState[];
}

/** The result of a claim of tasks with rate limits, which may have concurrency keys, too. */
export interface RatedClaim extends KeyedClaim {
  /** Those of `turnedBack` for which a bucket had no token left. */
  readonly rateLimited: readonly number[];
  /** The buckets of the tasks that their concurrency keys admitted, after the claim. */
  readonly buckets: readonly BucketState[];
}

/** Submits and claims: the first half of the hot path, in batches, and the timers of the queue. */
/** A task that a claim is to assign, of a class with concurrency keys or rate limits. */
export interface KeyedWish {
  readonly taskId: number;
  readonly sessionId: number;
  /** Class of the task and its keys, as far as they are known: they spare the store a look. */
  readonly classId?: number | undefined;
  readonly concurrency?: readonly ConcurrencyKey[] | undefined;
}

export interface ClaimStore {
  /**
   * Inserts tasks in one transaction.
   *
   * @param schedulerId Only sessions of this scheduler are assigned tasks; of any by default.
   * @throws UniqueKeyHeldError when tasks are refused for their unique keys; nothing was inserted.
   * @throws UnknownPredecessorsError when tasks are to wait for some that do not exist; nothing was inserted.
   * @throws ClassesGoneError when classes have to be resolved again; nothing was inserted.
   */
  insertTasks(tasks: readonly TaskInsert[], schedulerId?: string): Promise<InsertedTask[]>;
  /** @param schedulerId As for `insertTasks`. */
  claim(
    wanted: readonly { taskId: number; sessionId: number }[],
    schedulerId?: string,
  ): Promise<ClaimedAttempt[]>;
  /**
   * As `claim`, for tasks of classes with concurrency keys: assigns a task only while each of its keys is held by fewer
   * than its limit, counting those of this claim that are first in `wanted`.
   *
   * @param strict True when some of them have keys with a strict order: such a key admits its oldest task that waits, and
   * no other, one a claim.
   */
  claimKeyed(wanted: readonly KeyedWish[], schedulerId?: string, strict?: boolean): Promise<KeyedClaim>;
  /**
   * As `claimKeyed`, for tasks of classes with rate limits: assigns a task only when every one of its buckets has a token
   * left by those of this claim that are first in `wanted`, and takes it.
   */
  claimRated(wanted: readonly KeyedWish[], schedulerId?: string, strict?: boolean): Promise<RatedClaim>;
  /** All attempts in state assigned of these sessions: resolves a claim of unknown outcome. */
  assignedTo(sessionIds: readonly number[]): Promise<ClaimedAttempt[]>;
  /** Makes tasks claimable whose wake time has passed; returns them. */
  wakeDue(limit: number): Promise<WaitingTask[]>;
  /** Fails tasks that did not start by their deadline; returns them. */
  failOverdue(limit: number): Promise<{ readonly id: number; readonly classId: number }[]>;
}
