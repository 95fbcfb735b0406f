/** What the statements of a change are given, and what they answer. */
import type { FoundTask, TaskChange } from "../../../domain/tasks/task-change.ts";
import type { KeyHolder } from "../../../domain/tasks/unique-keys/unique-key.ts";
import type { ChangedTasks } from "../../task-changes.ts";
import type { KeyOwner } from "../unique-keys/key-rows.ts";

/** A task whose row is locked. */
export interface LockedTask extends FoundTask {
  /** It has ended, and has dependencies. */
  readonly isLinked: boolean;
}

/** The owners of the unique keys of tasks, by queue and key. */
export type KeyOwners = ReadonlyMap<string, KeyHolder>;

/** Unique keys of tasks in the queue that they are moved to. */
export interface KeysOfMoved {
  /** Held by other tasks. */
  readonly held: ReadonlySet<string>;
  /** Without a row until now: the row is deleted where no task gets the key. */
  readonly fresh: readonly KeyOwner[];
}

/** Unique keys of the tasks, whose rows are locked. */
export interface LockedKeys {
  /** The keys of tasks that are retried. */
  readonly owners?: KeyOwners;
  /** The keys of tasks that are moved. */
  readonly moved?: KeysOfMoved;
}

/** Locked tasks that are to be changed. */
export interface Carrying {
  readonly change: TaskChange;
  readonly tasks: readonly LockedTask[];
  readonly keys: LockedKeys;
  /** For the class of a task the one that it gets; those that stay are missing. */
  readonly classes: ReadonlyMap<number, number>;
  /** Who asks and why. */
  readonly reason: string;
}

/** What a change did; what is left out is empty. */
export type Carried = Partial<Omit<ChangedTasks, "missed">>;
