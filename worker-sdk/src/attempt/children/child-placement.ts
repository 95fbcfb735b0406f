/** Where a child that its parent waits for stands among the tasks of its queue. */
import type { PlainTask } from "@muster/protocol";
import type { ContractParts } from "../../contract/task-contract.ts";
import type { ChildOptions } from "./child-options.ts";

/** Levels by which a child goes before its parent's level in the same queue: more than a backlog of days makes up for by its age. */
const LEVELS_ABOVE = 100;

const MAX_PRIORITY = 1_000;

/** Options that a child gets by its parent. */
export type Placement = Pick<ChildOptions, "priority" | "fairness">;

/** What decides its place of the parent. */
export type ParentPlace = Pick<PlainTask, "priority" | "fairness">;

/**
 * In the parent's queue the children of tasks that have begun go before tasks that have not: with the order of age alone every
 * parent of a backlog would begin before the first child. Elsewhere, and where the caller says something else, nothing is added.
 *
 * @param parentOf Reads the parent; called only when it matters.
 */
export async function placementOf(
  parentQueue: string,
  task: string | ContractParts,
  options: ChildOptions,
  parentOf: () => Promise<ParentPlace>,
): Promise<Placement> {
  const given = typeof task === "string" ? options : { ...task.defaults, ...options };
  const { queue = "default", priority, fairness, concurrency } = given;
  if (queue !== parentQueue) return {};
  // A strict order of concurrency keys has rules of its own for priorities.
  const sets = {
    priority: priority === undefined && concurrency === undefined,
    fairness: fairness === undefined,
  };
  if (!sets.priority && !sets.fairness) return {};
  const parent = await parentOf();
  return {
    ...(sets.priority ? { priority: Math.min(parent.priority + LEVELS_ABOVE, MAX_PRIORITY) } : {}),
    ...(sets.fairness && parent.fairness ? { fairness: parent.fairness } : {}),
  };
}
