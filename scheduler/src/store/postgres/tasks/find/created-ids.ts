/**
 * The ids of tasks of a time. Ids rise with the times of the submits, so a binary search over the index of the ids finds the
 * place of a moment among ten million tasks in two dozen looks, and no index by time has to be written at each submit.
 */
import type { TimeRange } from "../../../../domain/tasks/task-filter.ts";
import type { Database, Statement } from "../../connection/database.ts";

/** Ids from the first one, and below the other one. */
export interface IdRange {
  readonly from: number;
  readonly below: number;
}

/**
 * A task's time is the beginning of its transaction, and its id is of a moment within it: of two tasks the newer one may have
 * the smaller id. Transactions are shorter than this, milliseconds.
 */
const SLACK_MS = 120_000;

// The first id of which that task and all later ones were submitted after the moment.
const FIRST_AFTER: Statement = {
  name: "task-first-after",
  text: `with recursive search(low, high) as (
      select (select least((select min(id) from task), (select min(id) from task_finished))),
             (select greatest((select max(id) from task), (select max(id) from task_finished))) + 1
      union all
      select case when p.create_time <= $1::timestamptz then p.id + 1 else s.low end,
             case when p.create_time <= $1::timestamptz then s.high else (s.low + s.high) / 2 end
        from search s
        left join lateral (
          select id, create_time from (
            (select id, create_time from task where id >= (s.low + s.high) / 2 and id < s.high order by id limit 1)
            union all
            (select id, create_time from task_finished where id >= (s.low + s.high) / 2 and id < s.high order by id limit 1)) b
           order by id limit 1) p on true
       where s.low < s.high)
    select low as id from search where low >= high`,
};

/** The ids that tasks of these times can have. A task that had ended by a moment was submitted before it. */
export async function idsOfTimes(
  db: Database,
  { created, ended }: { readonly created: TimeRange; readonly ended: TimeRange },
): Promise<IdRange> {
  const toMs = Math.min(created.toMs ?? Number.POSITIVE_INFINITY, ended.toMs ?? Number.POSITIVE_INFINITY);
  const [from, below] = await Promise.all([
    created.fromMs === undefined ? undefined : firstAfter(db, created.fromMs - SLACK_MS),
    toMs === Number.POSITIVE_INFINITY ? undefined : firstAfter(db, toMs + SLACK_MS),
  ]);
  return { from: from ?? 0, below: below ?? Number.POSITIVE_INFINITY };
}

async function firstAfter(db: Database, ms: number): Promise<number | undefined> {
  const [row] = await db.cold<{ id: number }>(FIRST_AFTER, [new Date(ms)]);
  return row?.id;
}
