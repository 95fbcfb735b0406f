/** Compares what dependents did with the ends of the tasks that they waited for. */

import { dependencyFaults } from "../../support/database/dependencies.ts";
import type { TestDatabase } from "../../support/database/postgres.ts";

/** A task that waited for others. */
export interface AcceptedDependent {
  readonly taskId: string;
  readonly after: readonly { readonly taskId: string; readonly success: boolean }[];
}

interface Ended {
  readonly id: string;
  readonly state: number;
  readonly detail: string;
  readonly epoch: number;
  readonly at: Date;
}

/** What a run showed of dependencies. */
export interface DependencyFindings {
  /** Ended tasks that had waited for others. */
  readonly dependents: number;
  /** Of these the ones that a predecessor ended. */
  readonly endedByPredecessor: number;
  /** Dependents that started early, or ended with a predecessor that did not end them. */
  readonly dependencyFaults: number;
}

const SUCCEEDED = 3;

/**
 * A dependent is assigned for the first time after the last of its predecessors has ended, and only when they ended as it
 * asks; otherwise it has ended without an assignment. All times are those of the database.
 */
export async function checkDependencies(
  db: Pick<TestDatabase, "query">,
  dependents: readonly AcceptedDependent[],
  finished: readonly Ended[],
  violations: string[],
): Promise<DependencyFindings> {
  const before = violations.length;
  const byId = new Map(finished.map((row) => [row.id, row]));
  const assigned = new Map(
    (
      await db.query<{ id: string; at: Date }>(
        `select 't-' || a.id as id, min(e.time) as at
           from event e cross join lateral unnest(e.task_ids) as a(id)
          where e.name = 'assigned' and a.id = any(array(select task_id from task_dependency))
          group by a.id`,
      )
    ).map(({ id, at }) => [id, at]),
  );
  for (const fault of await dependencyFaults(db)) violations.push(fault);
  let ended = 0;
  let byPredecessor = 0;
  for (const { taskId, after } of dependents) {
    const own = byId.get(taskId);
    if (!own) continue;
    ended++;
    const predecessors = after.map(({ taskId: id, success }) => ({ end: byId.get(id), id, success }));
    const broken = predecessors.filter(({ end, success }) => success && end?.state !== SUCCEEDED);
    const firstAt = assigned.get(taskId);
    if (own.detail === "DEPENDENCY_FAILED") {
      byPredecessor++;
      if (firstAt) violations.push(`${taskId} was assigned and ended with a predecessor`);
      if (broken.length === 0)
        violations.push(`${taskId} ended with a predecessor, and all of them did as it asks`);
      continue;
    }
    for (const { id } of broken) violations.push(`${taskId} ran although ${id} had not succeeded`);
    for (const { id, end } of predecessors)
      if (!firstAt || !end || firstAt < end.at)
        violations.push(
          `${taskId} was assigned at ${firstAt?.toISOString()}, and ${id} ended at ${end?.at.toISOString()}`,
        );
  }
  return {
    dependents: ended,
    endedByPredecessor: byPredecessor,
    dependencyFaults: violations.length - before,
  };
}
