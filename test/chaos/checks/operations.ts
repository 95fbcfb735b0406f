/** Compares what ran with the holds, edits and revocations of the operator. */
import type { TestDatabase } from "../../support/database/postgres.ts";
import type { Acknowledged } from "../operator.ts";
import type { FinishedRow, Run } from "./records.ts";

/** What the operator did, and what was wrong with it. */
export interface OperationFindings {
  readonly holds: number;
  /** Tasks that were assigned while they were held. */
  readonly ranWhileHeld: number;
  readonly edits: number;
  /** Attempts that began without the last edit before their assignment. */
  readonly ranUnedited: number;
  readonly revocations: number;
  /** Results of revoked attempts that count. */
  readonly revokedCommits: number;
}

interface Step extends Record<string, unknown> {
  name: string;
  task: string;
  epoch: number | null;
  retries: string | null;
}

const NAMES = ["held", "hold_released", "edited", "revoked", "assigned"];

/**
 * Replays the events of each task. Whoever writes one of these changes the row of the task in the same statement, so that the
 * order of their ids is that of the changes.
 *
 * @param attempts Attempts that a policy allows unless it is edited.
 */
export async function checkOperations(
  db: Pick<TestDatabase, "query">,
  acknowledged: Acknowledged,
  finished: readonly FinishedRow[],
  runs: readonly Run[],
  attempts: number,
  violations: string[],
): Promise<OperationFindings> {
  const steps = await db.query<Step>(
    `with touched as (
       select distinct task_id from event where name in ('held', 'edited', 'revoked') and task_id is not null)
     select e.name, 't-' || x.task_id as task, coalesce(x.epoch, e.epoch) as epoch,
            e.attributes ->> 'max_retry_count_after' as retries
       from event e cross join lateral (
         select e.task_id, e.epoch where e.task_id is not null
         union all
         select u.id, coalesce(u.epoch, e.epoch)
           from unnest(e.task_ids, e.epochs) as u(id, epoch) where e.task_id is null) as x(task_id, epoch)
      where e.name = any($1) and x.task_id in (select task_id from touched)
      order by e.id`,
    [NAMES],
  );
  const before = violations.length;
  const heldNow = new Set<string>();
  const retriesOf = new Map<string, string>();
  /** What each assigned attempt has to begin with. */
  const expected = new Map<string, number>();
  const revoked = new Set<string>();
  const seen = { held: new Set<string>(), revoked: new Set<string>(), edited: new Set<string>() };
  for (const { name, task, epoch, retries } of steps) {
    const attempt = `${task}.${epoch}`;
    if (name === "held") {
      heldNow.add(task);
      seen.held.add(task);
    } else if (name === "hold_released") heldNow.delete(task);
    else if (name === "revoked") {
      revoked.add(attempt);
      seen.revoked.add(task);
    } else if (name === "edited") {
      if (retries === null) continue;
      retriesOf.set(task, retries);
      seen.edited.add(`${task} ${retries}`);
    } else {
      expected.set(attempt, Number(retriesOf.get(task) ?? attempts - 1) + 1);
      if (heldNow.has(task)) violations.push(`${attempt} was assigned while the task was held`);
    }
  }
  const ranWhileHeld = violations.length - before;

  let ranUnedited = 0;
  for (const { what, attempt, max } of runs) {
    const wanted = expected.get(attempt);
    if (what !== "begin" || wanted === undefined || max === wanted) continue;
    ranUnedited++;
    violations.push(`${attempt} began with ${max} attempts in all, and its last edit allowed ${wanted}`);
  }

  let revokedCommits = 0;
  for (const { id, epoch, attempt } of finished) {
    for (const counted of new Set([`${id}.${epoch}`, attempt])) {
      if (counted === null || !revoked.has(counted)) continue;
      revokedCommits++;
      violations.push(`${id} ended with ${counted}, which was revoked`);
    }
  }

  for (const task of acknowledged.held)
    if (!seen.held.has(task)) violations.push(`the hold of ${task} was answered, and is not on record`);
  for (const task of acknowledged.revoked)
    if (!seen.revoked.has(task)) violations.push(`${task} was revoked, and that is not on record`);
  // An edit to what the task has already changes nothing.
  for (const { taskId, maxRetries } of acknowledged.edited)
    if (!seen.edited.has(`${taskId} ${maxRetries}`) && retriesOf.get(taskId) !== String(maxRetries))
      violations.push(`${taskId} was edited to ${maxRetries} retries, and that is not on record`);
  return {
    holds: steps.filter(({ name }) => name === "held").length,
    ranWhileHeld,
    edits: steps.filter(({ name }) => name === "edited").length,
    ranUnedited,
    revocations: revoked.size,
    revokedCommits,
  };
}
