/** Has a task that is retried by hand wait for its predecessors again. */
import type { Predecessor } from "../../../domain/tasks/dependencies/dependencies.ts";
import type { EndState } from "../../../domain/tasks/task.ts";
import type { RetryResult } from "../../tasks.ts";
import { int8Array } from "../arrays.ts";
import type { Runner, Statement } from "../connection/database.ts";
import { stateOf } from "../task-states.ts";
import { linkTasks, statesOf } from "./link-tasks.ts";

/** True for a row with the id `id` that has dependencies of its own; a completion task has those of its batch. */
export const hasDependencies = (id: string): string =>
  `(exists (select from task_dependency d where d.task_id = ${id}) and not exists (select from batch b where b.id = ${id}))`;

const SELECT: Statement = {
  name: "dependency-select",
  text: `select predecessor_id, success, end_state from task_dependency
    where task_id = $1 order by predecessor_id for update`,
};

const DELETE: Statement = {
  name: "dependency-delete",
  text: "delete from task_dependency where task_id = $1 and predecessor_id = any($2::bigint[])",
};

/** The dependencies of a task that has ended, of which the predecessors are on record. */
export interface OldDependencies {
  readonly after: readonly Predecessor[];
  /** A predecessor that has not succeeded and should have; undefined when the task may be retried. */
  readonly failed: Extract<RetryResult, { outcome: "dependency_failed" }> | undefined;
}

/** Reads and locks the dependencies of a task that is to be retried. */
export async function oldDependencies(tx: Runner, taskId: number): Promise<OldDependencies> {
  const rows = await tx.run<{ predecessor_id: number; success: boolean; end_state: number | null }>(SELECT, [
    taskId,
  ]);
  const states = await statesOf(
    tx,
    rows.map(({ predecessor_id }) => predecessor_id),
  );
  const failed = rows.find(({ predecessor_id, success, end_state }) => {
    const counted = end_state === null ? undefined : stateOf(end_state);
    const state = states.get(predecessor_id) ?? counted;
    return success && state !== "open" && state !== "succeeded";
  });
  return {
    // What is not on record was counted, and stays as it is.
    after: rows
      .filter(({ predecessor_id }) => states.has(predecessor_id))
      .map(({ predecessor_id, success }) => ({
        taskId: predecessor_id,
        condition: success ? "succeeded" : "ended",
      })),
    failed: failed && {
      outcome: "dependency_failed",
      predecessorId: failed.predecessor_id,
      state: states.get(failed.predecessor_id) as EndState | undefined,
    },
  };
}

/** Has a task that was just queued again wait for those of its predecessors that are open now; true when it waits. */
export async function linkAgain(tx: Runner, taskId: number, after: readonly Predecessor[]): Promise<boolean> {
  if (after.length === 0) return false;
  await tx.run(DELETE, [taskId, int8Array(after.map(({ taskId: id }) => id))]);
  const dependent = {
    ...{ taskId, index: 0, delayMs: undefined, runAtMs: undefined, queueWaitMs: undefined },
    after: after.map((each, position) => ({ ...each, position })),
  };
  return (await linkTasks(tx, [dependent])).has(taskId);
}
