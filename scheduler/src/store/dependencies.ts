/** The role of the store that lets tasks start when the tasks that they wait for have ended. */
import type { LinkedTask, TaskLinks } from "../domain/tasks/dependencies/dependencies.ts";
import type { EndState } from "../domain/tasks/task.ts";
import type { WaitingTask } from "./classes.ts";

/** What one step did. */
export interface DependentsStep {
  /** Ends that were looked at; 0 when none is left that no other scheduler has taken. */
  readonly ends: number;
  readonly released: readonly {
    readonly task: WaitingTask;
    /** Until it may start; undefined for now. */
    readonly waitMs: number | undefined;
    /** It is held, and waits for its release. */
    readonly held?: boolean;
  }[];
  /** Dependents that ended because a predecessor did not succeed. */
  readonly ended: readonly { readonly id: number; readonly classId: number; readonly state: EndState }[];
}

/** Dependencies between tasks. They are made by `insertTasks`. */
export interface DependencyStore {
  /**
   * Takes the oldest ends of tasks that others depend on, and releases or ends at most `perEnd` dependents of each, in one
   * transaction. Safe from several schedulers at once: each end is taken by one.
   */
  releaseDependents(maxEnds: number, perEnd: number): Promise<DependentsStep>;
  /** What a task waits or waited for. */
  predecessors(taskId: number): Promise<LinkedTask[]>;
  /** The same with the tasks that wait or waited for it: at most `limit` of them after a position. */
  taskLinks(taskId: number, after: number, limit: number): Promise<TaskLinks>;
}
