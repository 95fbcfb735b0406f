/** Tasks that wait for other tasks: what a submit asks for, and what is kept and shown of it. */
import type { EndState, TaskState } from "../task-state.ts";

/** Most predecessors of a task. */
export const MAX_PREDECESSORS = 100;

/** The code of a task that ended because one that it waited for did not succeed. */
export const DEPENDENCY_FAILED = "DEPENDENCY_FAILED";

/** Which end of the predecessor lets the task start. */
export type DependencyCondition = "succeeded" | "ended";

/** A task that a submitted one waits for: one that exists, or an earlier one of the same submit. */
export type SubmittedAfter = { readonly condition: DependencyCondition } & (
  | { readonly taskId: number }
  | { readonly entry: number }
);

/** A task that another one waits for, or waited for. */
export interface Predecessor {
  readonly taskId: number;
  readonly condition: DependencyCondition;
}

/** The end of a task that kept others from starting; kept with each of them. */
export interface DependencyCause {
  readonly taskId: number;
  readonly state: EndState;
  readonly detail: string;
  /** Message of its failure, or the reason of its cancellation. */
  readonly message?: string;
  /** The first end of a chain, when that is another task's. */
  readonly root?: Omit<DependencyCause, "root">;
}

/** A task on the other side of a dependency, as it is now. */
export interface LinkedTask extends Predecessor {
  /** Undefined when its record was dropped. */
  readonly state: TaskState | undefined;
  readonly detail: string | undefined;
  /** Its queue and type; undefined when its record was dropped. */
  readonly type: string | undefined;
  readonly queue: string | undefined;
  readonly createTime: Date | undefined;
  /** The end of the predecessor that was counted; undefined while it has not been. */
  readonly counted: { readonly state: EndState; readonly time: Date } | undefined;
}

/** The dependencies of a task in both directions. */
export interface TaskLinks {
  readonly predecessors: readonly LinkedTask[];
  /** In the order in which they were submitted. */
  readonly dependents: readonly LinkedTask[];
  /** Position of the last one, when there are more. */
  readonly lastPosition: number | undefined;
  readonly dependentCount: number;
}

/** Submitted tasks that are to wait for tasks that do not exist. */
export class UnknownPredecessorsError extends Error {
  override readonly name = "UnknownPredecessorsError";
  /** Position of the task in its batch, position among its predecessors, and the id. */
  readonly unknown: readonly { readonly index: number; readonly position: number; readonly taskId: number }[];

  constructor(unknown: UnknownPredecessorsError["unknown"]) {
    super(`${unknown.length} tasks to wait for do not exist`);
    this.unknown = unknown;
  }
}

/** How the end of a task reads in a sentence: `failed with BROKE: it broke`. */
export function endInWords({ state, detail, message }: Omit<DependencyCause, "root">): string {
  const because = message ? `: ${message}` : "";
  if (state === "succeeded") return "succeeded";
  if (state === "cancelled")
    return `was cancelled${detail === "cancelled" ? "" : ` with ${detail}`}${because}`;
  return `failed with ${detail}${because}`;
}
