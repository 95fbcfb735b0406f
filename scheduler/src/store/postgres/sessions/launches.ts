/** Writes launches of worker processes as their supervisors report them, and ends silent ones. */
import type { LaunchEndReason, Served } from "../../../domain/workers/launch.ts";
import { type EarlierStart, MOST_STARTS } from "../../../domain/workers/startup-history.ts";
import type { LaunchEnded, LaunchExit, LaunchReport, LaunchReported, SilentLaunch } from "../../store.ts";
import { jsonParam } from "../arrays.ts";
import type { Database, Statement } from "../connection/database.ts";
import { type StopColumn, toStop } from "./launch-stops.ts";

// Phases only grow; reports that arrive out of order must not remove any, nor a notice of the end of the machine. An exit is final. A launch that was ended
// because its supervisor was silent is opened again.
const REPORT: Statement = {
  name: "launch-report",
  text: `with d as (
    select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::float8[])
      as d(launch_id, worker_id, pool, facts, phases, age_ms)),
  old as (
    select launch_id, jsonb_array_length(phases) as known, facts ? 'notice' as noticed
      from launch where launch_id = any($1::text[])),
  reported as (
    insert into launch as l (launch_id, worker_id, pool, facts, phases, launch_time)
    select launch_id, worker_id, pool, facts::jsonb, phases::jsonb, now() - age_ms * interval '1 ms'
      from d order by launch_id
    on conflict (launch_id) do update
       set phases = case when jsonb_array_length(excluded.phases) >= jsonb_array_length(l.phases)
                         then excluded.phases else l.phases end,
           facts = jsonb_strip_nulls(jsonb_build_object('notice', l.facts -> 'notice')) || excluded.facts,
           report_time = now(), end_time = null, end_reason = null
     where l.exit is null
    returning l.launch_id, l.worker_id, l.pool, l.facts, l.stop, (l.xmax = 0) as is_new),
  ev as (
    insert into event (name, worker_id, attributes)
    select 'worker.launched', worker_id, jsonb_build_object('launch_id', launch_id, 'pool', pool,
        'command', facts ->> 'command', 'hostname', facts ->> 'hostname', 'pid', facts ->> 'pid',
        'supervisor', facts ->> 'supervisor', 'start_number', facts ->> 'startNumber')
      from reported where is_new
    union all
    select 'worker.machine_notice', r.worker_id, jsonb_build_object('launch_id', r.launch_id,
        'source', r.facts #>> '{notice,source}', 'event', r.facts #>> '{notice,event}',
        'detail', r.facts #>> '{notice,detail}')
        || case when r.facts #> '{notice,endAfterMs}' is null then '{}' else jsonb_build_object('ends_in_ms',
             round((r.facts #>> '{notice,endAfterMs}')::float8 - (r.facts #>> '{notice,receivedAfterMs}')::float8)::text) end
      from reported r left join old o using (launch_id) where r.facts ? 'notice' and not coalesce(o.noticed, false))
  select d.launch_id, coalesce(r.is_new, false) as is_new, coalesce(o.known, 0) as known_phases, r.stop,
         coalesce(o.noticed, false) as noticed, s.registered, s.session_id, s.draining
    from d left join reported r using (launch_id) left join old o using (launch_id)
    cross join lateral (
      select count(*) > 0 as registered, max(id) filter (where gone_time is null) as session_id,
             coalesce(bool_or(draining) filter (where gone_time is null), false) as draining
        from worker_session where worker_session.launch_id = d.launch_id) s`,
};

const SESSIONS: Statement = {
  name: "launch-sessions",
  text: "select id, gone_time is null as living from worker_session where launch_id = $1 order by id",
};

const EXIT: Statement = {
  name: "launch-exit",
  text: `with ended as (
    insert into launch as l (launch_id, worker_id, pool, facts, phases, launch_time, end_time, end_reason, exit,
      restart_time, log_tail)
    values ($1, $2, $3, $4::jsonb, $5::jsonb, now() - ($6::float8 + $7::float8) * interval '1 ms',
      now() - $7::float8 * interval '1 ms', $8, $9::jsonb, now() + $10::float8 * interval '1 ms', $11)
    on conflict (launch_id) do update
       set phases = case when jsonb_array_length(excluded.phases) >= jsonb_array_length(l.phases)
                         then excluded.phases else l.phases end,
           facts = jsonb_strip_nulls(jsonb_build_object('notice', l.facts -> 'notice')) || excluded.facts,
           report_time = now(), end_time = greatest(excluded.end_time, l.launch_time),
           end_reason = excluded.end_reason, exit = excluded.exit, restart_time = excluded.restart_time,
           log_tail = excluded.log_tail
     where l.exit is null
    returning l.worker_id),
  ev as (
    insert into event (name, worker_id, attributes)
    select $12, worker_id, $13::jsonb from ended)
  select count(*)::int as ended from ended`,
};

// A supervisor that stops will not start it again: the only change that a later report may make.
const ENDED: Statement = {
  name: "launch-ended",
  text: `update launch set restart_time = case when $2::float8 is null then null else restart_time end
    where launch_id = $1 returning end_reason, requeued`,
};

const REQUEUED: Statement = {
  name: "launch-requeued",
  text: "update launch set requeued = requeued + $2 where launch_id = $1 returning requeued",
};

const GIVE_UP: Statement = {
  name: "launch-give-up",
  text: `with silent as (
    select l.id from launch l
     where l.end_time is null and l.report_time < least($1::timestamptz, now()) - $2::float8 * interval '1 ms'
       and not exists (select from worker_session s where s.launch_id = l.launch_id and s.gone_time is null)
     order by l.report_time limit $3 for update skip locked),
  ended as (
    update launch l
       set end_time = now(),
           end_reason = coalesce((select s.gone_reason from worker_session s where s.launch_id = l.launch_id
                                   order by s.id desc limit 1), 'lost')
      from silent where l.id = silent.id
    returning l.launch_id, l.worker_id, l.end_reason, l.facts, l.phases,
      extract(epoch from now() - l.report_time)::float8 * 1000 as silent_ms,
      not exists (select from worker_session s where s.launch_id = l.launch_id) as unregistered),
  ev as (
    insert into event (name, worker_id, attributes)
    select 'worker.lost', worker_id, jsonb_build_object('launch_id', launch_id, 'reason', 'supervisor_silent',
        'supervisor', facts ->> 'supervisor', 'last_phase', coalesce(phases -> -1 ->> 'phase', ''))
      from ended where unregistered)
  select launch_id, worker_id, silent_ms, coalesce(phases -> -1 ->> 'phase', '') as last_phase
    from ended where unregistered`,
};

// A pool is represented by its newest sessions: it has no index, and old sessions predict little of the next start.
const SERVED: Statement = {
  name: "launch-served",
  text: `select distinct on (worker_id) worker_id, pool, types, queues from (
      select id, worker_id, hello ->> 'pool' as pool, hello -> 'types' as types, hello -> 'queues' as queues
        from (select * from worker_session order by id desc limit 1000) recent
       where hello ->> 'pool' = any($2::text[])
      union all
      select s.id, s.worker_id, s.hello ->> 'pool', s.hello -> 'types', s.hello -> 'queues'
        from unnest($1::text[]) as w(worker_id) cross join lateral (
          select * from worker_session s where s.worker_id = w.worker_id order by s.id desc limit 1) s) known
    order by worker_id, id desc`,
};

// Of a phase that came more than once the first time counts: the last of equal keys stays in the object.
const EARLIER: Statement = {
  name: "launch-earlier-starts",
  text: `with found as (
    select s.id, s.worker_id, s.hello ->> 'pool' as pool, s.phases
      from unnest($1::text[]) as w(worker_id) cross join lateral (
        select * from worker_session s where s.worker_id = w.worker_id and s.ready order by s.id desc limit $3) s
    union
    select id, worker_id, pool, phases from (
      select id, worker_id, hello ->> 'pool' as pool, phases,
             row_number() over (partition by hello ->> 'pool' order by id desc) as place
        from (select * from worker_session order by id desc limit 1000) recent
       where ready and hello ->> 'pool' = any($2::text[])) ranked
     where place <= $3)
  select worker_id, coalesce(pool, '') as pool,
         (select json_object_agg(p ->> 'phase', (p ->> 'elapsedMs')::float8 order by (p ->> 'elapsedMs')::float8 desc)
            from jsonb_array_elements(phases) p) as reached
    from found where phases @> '[{"phase": "ready"}]' order by id desc`,
};

/** Writes reports of launches, the latest of each; returns what each changed. */
export async function reportLaunches(
  db: Database,
  reports: readonly LaunchReport[],
): Promise<LaunchReported[]> {
  const latest = [...new Map(reports.map((report) => [report.launchId, report])).values()];
  interface Row {
    launch_id: string;
    is_new: boolean;
    known_phases: number;
    registered: boolean;
    stop: StopColumn | null;
    noticed: boolean;
    session_id: number | null;
    draining: boolean;
  }
  const rows = await db.cold<Row>(REPORT, [
    latest.map(({ launchId }) => launchId),
    latest.map(({ workerId }) => workerId),
    latest.map(({ pool }) => pool),
    latest.map(({ facts }) => JSON.stringify(facts)),
    latest.map(({ phases }) => JSON.stringify(phases)),
    latest.map(({ ageMs }) => ageMs),
  ]);
  const byId = new Map(rows.map((row) => [row.launch_id, row]));
  return reports.map(({ launchId }) => {
    const row = byId.get(launchId);
    return {
      isNew: row?.is_new ?? false,
      knownPhases: row?.known_phases ?? 0,
      registered: row?.registered ?? false,
      ...(row?.stop ? { stop: toStop(row.stop) } : {}),
      noticed: row?.noticed ?? false,
      session:
        typeof row?.session_id === "number" ? { id: row.session_id, draining: row.draining } : undefined,
    };
  });
}

/** Writes the end of a launch, once; every later report gets the same answer. */
export async function endLaunch(db: Database, report: LaunchExit): Promise<LaunchEnded> {
  const sessions = await db.cold<{ id: number; living: boolean }>(SESSIONS, [report.launchId]);
  const { reason, event, attributes } = report.classify(sessions.length > 0);
  const [written] = await db.cold<{ ended: number }>(EXIT, [
    report.launchId,
    report.workerId,
    report.pool,
    JSON.stringify(report.facts),
    JSON.stringify(report.phases),
    report.exit.ranForMs,
    report.endedForMs,
    reason,
    JSON.stringify(report.exit),
    report.restartInMs ?? null,
    report.logTail,
    event,
    jsonParam(attributes),
  ]);
  const [row] = await db.cold<{ end_reason: LaunchEndReason; requeued: number }>(ENDED, [
    report.launchId,
    report.restartInMs ?? null,
  ]);
  return {
    isNew: written?.ended === 1,
    reason: row?.end_reason ?? reason,
    requeued: row?.requeued ?? 0,
    livingSessions: sessions.filter(({ living }) => living).map(({ id }) => id),
  };
}

/** What the workers of these ids, and of these pools, served when they last registered. */
export async function servedBefore(
  db: Database,
  launches: readonly { readonly workerId: string; readonly pool: string }[],
): Promise<Served[]> {
  if (launches.length === 0) return [];
  interface Row {
    worker_id: string;
    pool: string;
    types: { readonly type: string }[];
    queues: string[];
  }
  const pools = new Set(launches.map(({ pool }) => pool));
  pools.delete("");
  const rows = await db.cold<Row>(SERVED, [
    [...new Set(launches.map(({ workerId }) => workerId))],
    [...pools],
  ]);
  return rows.map(({ worker_id: workerId, pool, types, queues }) => ({
    workerId,
    pool,
    types: types.map(({ type }) => type),
    queues,
  }));
}

/** The newest starts that became ready, of these workers and pools. */
export async function earlierStarts(
  db: Database,
  workers: readonly { workerId: string; pool: string }[],
): Promise<EarlierStart[]> {
  if (workers.length === 0) return [];
  const pools = new Set(workers.map(({ pool }) => pool).filter((pool) => pool !== ""));
  const rows = await db.cold<{ worker_id: string; pool: string; reached: Record<string, number> }>(EARLIER, [
    [...new Set(workers.map(({ workerId }) => workerId))],
    [...pools],
    MOST_STARTS,
  ]);
  return rows.map(({ worker_id: workerId, pool, reached }) => ({ workerId, pool, reached }));
}

/** Adds attempts that were requeued because of a launch's end; returns the sum. */
export async function addRequeued(db: Database, launchId: string, count: number): Promise<number> {
  const [row] = await db.cold<{ requeued: number }>(REQUEUED, [launchId, count]);
  return row?.requeued ?? count;
}

/** Ends launches without a living session whose supervisor had been silent for so long by `asOf`; returns those that never registered. */
export async function giveUpLaunches(
  db: Database,
  asOf: Date,
  silentMs: number,
  limit: number,
): Promise<SilentLaunch[]> {
  interface Row {
    launch_id: string;
    worker_id: string;
    silent_ms: number;
    last_phase: string;
  }
  return (await db.cold<Row>(GIVE_UP, [asOf, silentMs, limit])).map((row) => ({
    launchId: row.launch_id,
    workerId: row.worker_id,
    silentMs: row.silent_ms,
    lastPhase: row.last_phase,
  }));
}
