/** Writes and reads what the fleet did in each minute. */
import { HISTORY_MS, type History, type HistoryRow } from "../../history.ts";
import type { Database, Statement } from "../connection/database.ts";
import { LEAD_TEXT } from "../fleet/schedulers.ts";
import { ACTIVE, STATE } from "../task-states.ts";

/** A gap that is longer was not counted, seconds: only the last minute of it is. */
const LONGEST_S = 90;

/** After a change of the lead the next row comes when the last one is this old, seconds. */
const APART_S = 45;

// One statement a minute, also of a scheduler that does not lead: the counts refer to the row of `span`, so that they are not
// read without one. The open tasks are read as the monitor reads them.
const WRITE: Statement = {
  name: "history-write",
  text: `with led as (${LEAD_TEXT}),
  last as (select max(time) as time from history where time <= now()),
  span as (
    select case when last.time > now() - interval '${LONGEST_S} s' then last.time else now() - interval '60 s' end as start
      from led cross join last
     where last.time is null or last.time <= now() - interval '${APART_S} s'),
  dropped as (
    delete from history where time < now() - $4::float8 * interval '1 ms' and exists (select from span))
  insert into history (time, counted_ms, succeeded, failed, failed_attempts, ready, scheduled, active, stuck, oldest_ready_ms,
    ready_workers, workers, waits)
  select now(), extract(epoch from now() - span.start)::float8 * 1000, done.succeeded, failed.count, tried.count,
         open.ready, open.scheduled, open.active, stuck.count, open.oldest_ms, fleet.ready, fleet.workers, waited.counts
    from span
    cross join lateral (
      select coalesce(sum(u.count), 0) as succeeded
        from completion_count c cross join lateral unnest(c.counts) as u(count)
       where c.time > span.start and c.time <= now()) done
    cross join lateral (
      select count(*) from task_finished f
       where f.state = ${STATE.failed} and f.finish_time > span.start and f.finish_time <= now()) failed
    cross join lateral (
      select count(*) from task_attempt a
       where a.failure is not null and a.end_time > span.start and a.end_time <= now()) tried
    cross join lateral (
      select count(*) filter (where t.state = ${STATE.queued} and t.wake_time is null) as ready,
             count(*) filter (where t.state = ${STATE.queued} and t.wake_time is not null) as scheduled,
             count(*) filter (where t.state in ${ACTIVE}) as active,
             extract(epoch from now() - min(coalesce(t.ready_time, t.create_time))
               filter (where t.state = ${STATE.queued} and t.wake_time is null))::float8 * 1000 as oldest_ms
        from task t where span.start is not null) open
    cross join lateral (
      select count(*) from session_lease l
        cross join lateral jsonb_path_query(l.heartbeat, '$.verdict.stuck[*]') as v(value)
        join task t on t.id = (v.value ->> 'taskId')::bigint and t.epoch = (v.value ->> 'epoch')::int and t.state in ${ACTIVE}
       where span.start is not null) stuck
    cross join lateral (
      select count(*) as workers,
             count(*) filter (where s.ready and not s.draining and not l.disconnected and l.lease_until >= now()) as ready
        from session_lease l join worker_session s on s.id = l.session_id
       where span.start is not null and s.gone_time is null) fleet
    cross join lateral (
      select array_agg(b.count order by b.place) as counts from (
        select u.place, sum(u.count)::bigint as count
          from completion_count c cross join lateral unnest(c.waits) with ordinality as u(count, place)
         where c.time > span.start and c.time <= now() group by u.place) b) waited
  on conflict do nothing`,
};

// The minutes of a step are joined here, so that a week costs no more to send than six hours.
const READ: Statement = {
  name: "history-read",
  text: `with rows as (
    select h.*, ceil(extract(epoch from h.time) * 1000 / $2::float8) as step
      from history h where h.time > now() - $1::float8 * interval '1 ms' and h.time <= now()),
  waited as (
    select step, array_agg(count order by place) as waits from (
      select r.step, u.place, sum(u.count)::float8 as count
        from rows r cross join lateral unnest(r.waits) with ordinality as u(count, place) group by r.step, u.place) b
     group by step)
  select now() as read_time, coalesce((select json_agg(p order by p."timeMs") from (
    select extract(epoch from max(r.time))::float8 * 1000 as "timeMs", sum(r.counted_ms) as "countedMs",
           sum(r.succeeded)::float8 as succeeded, sum(r.failed)::float8 as failed,
           sum(r.failed_attempts)::float8 as "failedAttempts", max(r.ready) as ready, max(r.scheduled) as scheduled,
           max(r.active) as active, max(r.stuck) as stuck, max(r.oldest_ready_ms) as "oldestReadyMs",
           min(r.ready_workers) as "readyWorkers", min(r.workers) as workers,
           (select w.waits from waited w where w.step = r.step) as waits
      from rows r group by r.step) p), '[]') as points`,
};

/** Writes the row of this minute, when this scheduler leads and it is due. */
export async function writeHistory(db: Database, schedulerId: string, leaseMs: number): Promise<void> {
  await db.cold(WRITE, ["history", schedulerId, leaseMs, HISTORY_MS]);
}

/** The rows of the last `windowMs`, joined to steps. */
export async function readHistory(db: Database, windowMs: number, stepMs: number): Promise<History> {
  const [row] = await db.cold<{ read_time: Date; points: HistoryRow[] }>(READ, [windowMs, stepMs]);
  if (!row) throw new Error(`the statement ${READ.name} returned no row`);
  return { readTime: row.read_time, points: row.points };
}
