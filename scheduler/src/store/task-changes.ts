/** The role of the store that changes many tasks, in steps of bounded size. */
import type { ChangeFilter, FoundTask, SkipCode, TaskChange } from "../domain/tasks/task-change.ts";
import type { TaskState } from "../domain/tasks/task-state.ts";
import type { WaitingTask } from "./classes.ts";

/** Which tasks a change is for, as of the moment at which it began. */
export interface ChangeScope {
  readonly change: TaskChange;
  readonly filter: ChangeFilter;
  /** States that are looked for. */
  readonly states: readonly TaskState[];
  readonly cutOff: CutOff;
  /** Where its tasks are found, one after the other. */
  readonly sources: readonly ChangeSource[];
  /** Ids of the tasks, ascending; only for the source `ids`. */
  readonly taskIds: readonly number[];
  /** Classes with open tasks that the filter lets through, ascending; only for the source `open`. */
  readonly classIds: readonly number[];
}

/** What began later is left out: open tasks with a higher id, and ends after the time. */
export interface CutOff {
  readonly taskId: number;
  /** Milliseconds since 1970, by the clock of the database. */
  readonly timeMs: number;
}

/** Named tasks, members of a batch, open tasks in the order of their classes, ended tasks in the order of their ids. */
export type ChangeSource = "ids" | "members" | "open" | "ended";

/** How far a change is: all tasks before it in its source, and the sources before that one, were looked at. */
export type ChangePosition =
  | { readonly source: "ids" | "members" | "ended"; readonly id: number }
  | { readonly source: "open"; readonly classId: number; readonly priority: number; readonly id: number };

/** Tasks that a look found. */
export interface FoundTasks {
  /** Those that the filter lets through, in the order of the source. */
  readonly tasks: readonly FoundTask[];
  /** Named tasks that do not exist. */
  readonly unknown: readonly number[];
  /** Rows that were read. */
  readonly examined: number;
  /** Where the next look begins; undefined when the source has no more. */
  readonly next: ChangePosition | undefined;
}

/** What one transaction did. */
export interface ChangedTasks {
  /** Tasks that ended. */
  readonly ended: readonly { readonly id: number; readonly classId: number }[];
  /** Running tasks whose workers are asked to stop them; the requests are sent. */
  readonly requested: readonly number[];
  /** Tasks that wait, with their classes now. */
  readonly waiting: readonly WaitingTask[];
  /** Tasks whose records were deleted. */
  readonly deleted: readonly number[];
  readonly skipped: readonly { readonly id: number; readonly code: SkipCode }[];
  /** Tasks that had moved to the other table, or that the filter lets through no more. */
  readonly missed: readonly number[];
}

/** Changes of many tasks. */
export interface ChangeStore {
  /**
   * Where the tasks of a change are.
   *
   * @param cutOff That of the call that this one continues; undefined for the present.
   */
  changeScope(change: TaskChange, filter: ChangeFilter, cutOff: CutOff | undefined): Promise<ChangeScope>;
  /** The next tasks after a position, read without locks. */
  tasksToChange(scope: ChangeScope, after: ChangePosition, limit: number): Promise<FoundTasks>;
  /**
   * Changes those of the tasks that the filter still lets through, in one transaction. A second run finds those of the
   * first one changed.
   *
   * @param reason Who asks and why.
   */
  changeTasks(scope: ChangeScope, tasks: readonly FoundTask[], reason: string): Promise<ChangedTasks>;
  /** Whether the queue exists; makes it where that is asked for. */
  queueExists(name: string, make: boolean): Promise<boolean>;
}
