/** Deletes the ended tasks of queues with a retention of their own, a day at a time in bounded steps. */
import type { PurgeCursor, PurgeStep } from "../../maintenance.ts";
import type { Database, Statement } from "../connection/database.ts";

/** Blocks of a partition in one step: at most some 20,000 tasks. */
const BLOCKS_A_STEP = 250;

// As partitions are dropped: a day is over when it ended more than the retention ago, in UTC.
const NEXT: Statement = {
  name: "purge-next",
  text: `with q as (
    select name, (settings ->> 'keepDays')::int as keep_days, purged_day, (now() at time zone 'utc')::date as today
      from queue where (settings ->> 'keepDays')::int < $1::int),
  d as (
    select name, keep_days, greatest(purged_day + 1, today - $1::int - 1) as day, today - keep_days - 2 as last_day from q)
  select name, keep_days as "keepDays", to_char(day, 'YYYY-MM-DD') as day,
         coalesce(pg_relation_size(to_regclass('task_finished_' || to_char(day, 'YYYYMMDD'))), 0)
           / current_setting('block_size')::int as blocks
    from d where day <= last_day order by name limit 1`,
};

// An attempt and an event of a task are from before its end. Each is found by the index of its table.
const STEP: Statement = {
  name: "purge-step",
  text: `with gone as (
    delete from task_finished f
     where f.finish_time >= $1::timestamptz and f.finish_time < $2::timestamptz
       and f.ctid >= $3::tid and f.ctid < $4::tid and f.class_id in (select id from task_class where queue = $5)
    returning f.id),
  attempts as (delete from task_attempt a using gone where a.task_id = gone.id and a.end_time < $2::timestamptz),
  chunks as (delete from task_output o using gone where o.task_id = gone.id and o.time < $2::timestamptz),
  lines as (delete from task_log l using gone where l.task_id = gone.id and l.time < $2::timestamptz),
  events as (delete from event e using gone where e.task_id = gone.id and e.time < $2::timestamptz)
  select count(*)::int as count from gone`,
};

const DONE: Statement = {
  name: "purge-done",
  text: "update queue set purged_day = $2::date where name = $1 and coalesce(purged_day < $2::date, true)",
};

/**
 * Deletes part of the oldest day of the first queue that has one to delete; undefined when none has.
 *
 * @param keepDays The retention of the other queues: what is older is dropped with its partition.
 * @param from Where the step before ended; another day is begun at its front.
 */
export async function purgeStep(
  db: Database,
  keepDays: number,
  from: PurgeCursor | undefined,
): Promise<PurgeStep | undefined> {
  interface Row {
    name: string;
    keepDays: number;
    day: string;
    blocks: number;
  }
  const [next] = await db.cold<Row>(NEXT, [keepDays]);
  if (!next) return undefined;
  const { name: queue, day, blocks } = next;
  const block = from?.queue === queue && from.day === day ? from.block : 0;
  const end = block + BLOCKS_A_STEP;
  const deleted = block < blocks ? await deleteBlocks(db, next, block, end) : 0;
  if (end >= blocks) await db.cold(DONE, [queue, day]);
  return { cursor: { queue, day, block: end }, keepDays: next.keepDays, deleted };
}

/** Same effect when it runs twice. */
function deleteBlocks(
  db: Database,
  { name, day }: { readonly name: string; readonly day: string },
  block: number,
  end: number,
): Promise<number> {
  const midnight = new Date(`${day}T00:00:00Z`);
  const nextMidnight = new Date(midnight.getTime() + 86_400_000);
  return db.retrying(() =>
    db.batchTransaction(async (tx) => {
      const [row] = await tx.run<{ count: number }>(STEP, [
        ...[midnight, nextMidnight, `(${block},0)`, `(${end},0)`, name],
      ]);
      return row?.count ?? 0;
    }),
  );
}
