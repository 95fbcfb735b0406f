/** Decides what becomes of the dependents of tasks that have ended. */

import { formatTaskId } from "../../ids.ts";
import type { EndState } from "../task.ts";
import { type DependencyCause, endInWords } from "./dependencies.ts";

/** The end of a task that others depend on. */
export interface PredecessorEnd {
  /** Position among the ends, ascending. */
  readonly id: number;
  readonly taskId: number;
  readonly state: EndState;
  readonly cause: DependencyCause;
}

/** A dependency on such a task. */
export interface EndedDependency {
  readonly endId: number;
  /** Position among the dependencies on the task, ascending. */
  readonly id: number;
  /** The dependent. */
  readonly taskId: number;
  /** False when any end of the predecessor is enough. */
  readonly success: boolean;
  /** Predecessors of the dependent that had not ended before; undefined when it does not wait any more. */
  readonly openCount: number | undefined;
}

/** How a dependent ends: as its predecessor did. */
export interface BrokenDependent {
  readonly taskId: number;
  readonly state: Exclude<EndState, "succeeded">;
  readonly reason: string;
  readonly cause: DependencyCause;
}

/** What is to be written. */
export interface DependencyPlan {
  /** Ends of which no dependency is left. */
  readonly finished: readonly number[];
  /** Ends with more dependencies, and the last one of this step. */
  readonly continued: readonly { readonly endId: number; readonly doneId: number }[];
  /** Dependents that wait on, with what is left. */
  readonly waiting: ReadonlyMap<number, number>;
  /** Dependents that may start. */
  readonly released: readonly number[];
  readonly broken: readonly BrokenDependent[];
}

/**
 * Plans one step.
 *
 * @param dependencies In the order of their ends, then their own.
 * @param perEnd How many dependencies of each end a step takes: an end with fewer has no more.
 */
export function planDependents(
  ends: readonly PredecessorEnd[],
  dependencies: readonly EndedDependency[],
  perEnd: number,
): DependencyPlan {
  const byEnd = Map.groupBy(dependencies, ({ endId }) => endId);
  const open = new Map<number, number>();
  const broken = new Map<number, BrokenDependent>();
  const finished: number[] = [];
  const continued: { endId: number; doneId: number }[] = [];
  for (const { id, state, cause } of ends) {
    const own = byEnd.get(id) ?? [];
    const last = own.at(-1);
    if (last && own.length >= perEnd) continued.push({ endId: id, doneId: last.id });
    else finished.push(id);
    for (const { taskId, success, openCount } of own) {
      if (openCount === undefined) continue;
      open.set(taskId, (open.get(taskId) ?? openCount) - 1);
      if (success && state !== "succeeded" && !broken.has(taskId))
        broken.set(taskId, { taskId, state, reason: causeInWords(cause), cause });
    }
  }
  const left = Array.from(open).filter(([taskId]) => !broken.has(taskId));
  return {
    finished,
    continued,
    waiting: new Map(left.filter(([, count]) => count > 0)),
    released: left.flatMap(([taskId, count]) => (count <= 0 ? [taskId] : [])),
    broken: [...broken.values()],
  };
}

/** Why a dependent ended: names the predecessor, its end, and the first end of a chain. */
export function causeInWords(cause: DependencyCause): string {
  const { root } = cause;
  const name = formatTaskId(cause.taskId);
  if (!root) return `${name}, which it waited for, ${endInWords(cause)}`;
  return `${name}, which it waited for, ${endInWords({ ...cause, message: "" })}; the first of the chain was ${formatTaskId(root.taskId)}, which ${endInWords(root)}`;
}
