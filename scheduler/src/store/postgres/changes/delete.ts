/** Deletes the records of locked tasks that have ended. */
import type { FoundTask, SkipCode } from "../../../domain/tasks/task-change.ts";
import { int8Array, textArray } from "../arrays.ts";
import type { Runner, Statement } from "../connection/database.ts";
import type { Carried, Carrying } from "./carrying.ts";

// In the order in which submits lock them.
const LOCK_KEYS: Statement = {
  name: "change-lock-keys",
  text: `select k.key
    from (select distinct queue, key from unnest($1::text[], $2::text[]) as u(queue, key) order by queue, key) d
    cross join lateral (select key from task_key where queue = d.queue and key = d.key for update) k`,
};

// The end of a task reaches its dependents in a step of its own, whose rows are few at any time.
const PENDING: Statement = {
  name: "change-pending-ends",
  text: "select distinct predecessor_id as id from dependency_end where predecessor_id = any($1::bigint[])",
};

// Dependencies of other tasks on these, and of a batch on its members, are parts of the others.
const DELETE: Statement = {
  name: "change-delete",
  text: `with gone as (
    delete from task_finished f using unnest($1::bigint[]) as d(id) where f.id = d.id returning f.id, f.epoch),
  attempts as (delete from task_attempt a using gone where a.task_id = gone.id),
  outputs as (delete from task_output o using gone where o.task_id = gone.id),
  checkpoints as (delete from task_checkpoint c using gone where c.task_id = gone.id),
  metrics as (delete from attempt_metric m using gone where m.task_id = gone.id),
  logs as (delete from task_log l using gone where l.task_id = gone.id),
  dependencies as (
    delete from task_dependency d using gone
     where d.task_id = gone.id and not exists (select from batch b where b.id = gone.id)),
  keys as (
    delete from task_key k using unnest($3::text[], $4::text[], $5::bigint[]) as d(queue, key, id), gone
     where k.queue = d.queue and k.key = d.key and k.task_id = d.id and gone.id = d.id),
  ev as (
    insert into event (name, task_id, epoch, attributes)
    select 'deleted', id, epoch, jsonb_build_object('reason', $2::text) from gone)
  select id from gone`,
};

/** Locks the keys of tasks that are to be deleted, where they have a row. */
export async function lockKeysOfDeleted(tx: Runner, tasks: readonly FoundTask[]): Promise<void> {
  await tx.run(LOCK_KEYS, [
    textArray(tasks.map(({ queue }) => queue)),
    textArray(tasks.map(({ uniqueKey }) => uniqueKey)),
  ]);
}

export async function deleteFound(tx: Runner, { tasks, reason }: Carrying): Promise<Carried> {
  if (tasks.length === 0) return {};
  const ids = tasks.map(({ id }) => id);
  const pending = new Set((await tx.run<{ id: number }>(PENDING, [int8Array(ids)])).map(({ id }) => id));
  const keyed = tasks.filter(({ id, uniqueKey }) => uniqueKey !== undefined && !pending.has(id));
  const rows = await tx.run<{ id: number }>(DELETE, [
    int8Array(ids.filter((id) => !pending.has(id))),
    reason,
    textArray(keyed.map(({ queue }) => queue)),
    textArray(keyed.map(({ uniqueKey }) => uniqueKey)),
    int8Array(keyed.map(({ id }) => id)),
  ]);
  return {
    deleted: rows.map(({ id }) => id),
    skipped: [...pending].map((id) => ({ id, code: "DEPENDENTS_PENDING" satisfies SkipCode })),
  };
}
