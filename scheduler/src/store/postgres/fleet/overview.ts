/** Reads the fleet for `muster top`: groups of workers, workers, running tasks, failures. */
import type { FleetReport, TaskLine, WorkerGroup, WorkerLine } from "../../../domain/reports.ts";
import type { Progress } from "../../../domain/tasks/task.ts";
import type { CompletionRecord } from "../../../domain/workers/completions.ts";
import {
  endedState,
  LIVING_STATES,
  type LivingFacts,
  OTHER_LIVING_STATE,
  type WorkerState,
} from "../../../domain/workers/worker.ts";
import { int4Array, int8Array } from "../arrays.ts";
import type { Database, Statement } from "../connection/database.ts";
import { type QuarantineColumn, toQuarantine } from "../sessions/quarantines.ts";
import { ACTIVE, STATE } from "../task-states.ts";

/** The facts of which `workerState` derives the state, of a session `s` with its lease `l`. */
const FACTS: Readonly<Record<keyof LivingFacts, string>> = {
  disconnected: "l.disconnected",
  leaseOver: "l.lease_until < now()",
  draining: "s.draining",
  ready: "s.ready",
};
const CASES = LIVING_STATES.map(
  ({ state, facts }) => `when ${facts.map((fact) => FACTS[fact]).join(" or ")} then '${state}'`,
);
const WORKER_STATE = `case ${CASES.join(" ")} else '${OTHER_LIVING_STATE}' end`;
const SLOTS = "coalesce(nullif((l.heartbeat ->> 'slots')::int, 0), (s.hello ->> 'slots')::int)";
const HELD_COUNT = "coalesce(h.count, 0)";
const RELEASED_COUNT = "coalesce((l.heartbeat #>> '{seen,released}')::int, 0)";
// Heartbeats are seconds old, so attempts in flight are counted in the table of tasks.
const held = (ids: string, counts: string) =>
  `left join unnest(${ids}::bigint[], ${counts}::int[]) as h(session_id, count) on h.session_id = s.id`;

const HELD: Statement = {
  name: "overview-held",
  text: `select session_id as id, count(*)::int as count from task where state in ${ACTIVE} group by session_id`,
};
const OWN_PAUSE = "coalesce((l.heartbeat ->> 'paused')::boolean, false)";
const PAUSED = `(${OWN_PAUSE} or exists (select from worker_pause p where p.worker_id = s.worker_id))`;

// Workers of one deployment are alike, so ten thousand of them are a few groups.
const GROUPS: Statement = {
  name: "overview-groups",
  text: `select s.hello -> 'types' as types, s.hello -> 'queues' as queues, s.hello -> 'labels' as labels,
    coalesce(l.heartbeat -> 'resources', s.hello -> 'resources') as resources, s.hello ->> 'sdk' as sdk,
    ${WORKER_STATE} as state, ${PAUSED} as paused, count(*) as workers, sum(${SLOTS}) as slots, sum(greatest(0, ${HELD_COUNT} - ${RELEASED_COUNT})) as active,
    ${SLOTS} as slots_each, s.hello -> 'capacities' as capacities
    from session_lease l join worker_session s on s.id = l.session_id ${held("$1", "$2")}
   where s.gone_time is null
   group by 1, 2, 3, 4, 5, 6, 7, 11, 12 limit 10000`,
};

// Living workers by severity, then by load; and those that ended badly within the hour.
const WORKERS: Statement = {
  name: "overview-workers",
  text: `with living as (
    select s.worker_id, ${WORKER_STATE} as state, '' as gone_reason, '' as fatal,
           concat_ws('; ',
             case when ${OWN_PAUSE} then coalesce(nullif(l.heartbeat ->> 'pauseReason', ''), 'paused') end,
             (select 'by an operator: ' || p.reason from worker_pause p where p.worker_id = s.worker_id)) as pause_reason,
           coalesce((l.heartbeat ->> 'loopAgeMs')::float8, 0) as loop_age_ms, ${HELD_COUNT} as active, least(${HELD_COUNT}, ${RELEASED_COUNT}) as released, ${SLOTS} as slots,
           s.hello ->> 'pool' as pool, extract(epoch from now() - l.heartbeat_time)::float8 * 1000 as silent_ms,
           s.quarantine, l.heartbeat #> '{seen,completed}' as completed, (l.heartbeat #>> '{seen,idleMs}')::float8 as idle_ms
      from session_lease l join worker_session s on s.id = l.session_id ${held("$2", "$3")}
     where s.gone_time is null),
  ended as (
    select s.worker_id, null as state, s.gone_reason,
           coalesce((s.fatal ->> 'exceptionClass') || ': ' || (s.fatal ->> 'exceptionMessage'), '') as fatal,
           '' as pause_reason, 0::float8 as loop_age_ms, 0 as active, 0 as released, 0 as slots, s.hello ->> 'pool' as pool,
           extract(epoch from now() - s.gone_time)::float8 * 1000 as silent_ms, null::jsonb as quarantine, null::jsonb as completed,
           null::float8 as idle_ms
      from worker_session s
     where s.gone_time > now() - interval '1 hour'
       and s.gone_reason not in ('finished', 'superseded')
       and not exists (select from worker_session n where n.worker_id = s.worker_id and n.id > s.id)
     order by s.gone_time desc limit $1)
  select * from (select * from living union all select * from ended) w
   order by case when state = 'suspect' then 0 when state is null then 1 when loop_age_ms >= 1000 then 2
                 when pause_reason <> '' or quarantine is not null then 3 when state = 'draining' then 4 when state = 'registered' then 5 else 6 end,
            active desc, worker_id
   limit $1`,
};

// The scheduler that holds the worker's stream decides with `stuckOf` whether an attempt is stuck, and stores the verdict
// with the worker's heartbeat. Reads the whole open table, as the depths do: for interactive use, and not more often than
// the caller's cache allows.
const RUNNING: Statement = {
  name: "overview-running",
  text: `with verdict as (
    select (v.value ->> 'taskId')::bigint as id, (v.value ->> 'epoch')::int as epoch
      from session_lease l cross join lateral jsonb_path_query(l.heartbeat, '$.verdict.stuck[*]') as v(value)),
  aged as (
    select t.id, t.epoch, t.class_id, t.session_id, coalesce(t.phase, '') as phase, t.progress,
           extract(epoch from now() - (t.progress ->> 'at')::timestamptz)::float8 * 1000 as progress_age_ms,
           extract(epoch from now() - coalesce(t.phase_time, t.start_time, t.accept_time, t.assign_time))::float8 * 1000
             as age_ms
      from task t where t.state in ${ACTIVE}),
  active as (
    select *, (id, epoch) in (select id, epoch from verdict) as stuck from aged)
  select a.id, a.class_id, coalesce(s.worker_id, '') as worker_id, a.phase, a.progress, a.progress_age_ms, a.age_ms, a.stuck,
         (select count(*) from active where stuck) as stuck_count
    from (select * from active order by stuck desc, age_ms desc limit $1) a
    left join worker_session s on s.id = a.session_id
   order by a.stuck desc, a.age_ms desc`,
};

const FAILURES: Statement = {
  name: "overview-failures",
  text: `select f.id, f.class_id, coalesce(s.worker_id, '') as worker_id, coalesce(f.phase, '') as phase,
    extract(epoch from now() - f.finish_time)::float8 * 1000 as age_ms, f.detail,
    coalesce(f.failure ->> 'code', '') as code, coalesce(f.failure ->> 'message', '') as message
    from (select * from task_finished where state = ${STATE.failed} and finish_time > now() - interval '1 hour'
           order by finish_time desc limit $1) f
    left join worker_session s on s.id = f.session_id
   order by f.finish_time desc`,
};

const FAILURE_COUNT: Statement = {
  name: "overview-failure-count",
  text: `select count(*) as count
    from (select from task_finished where state = ${STATE.failed} and finish_time > now() - interval '1 hour' limit 10000) f`,
};

interface GroupColumns extends Omit<WorkerGroup, "types" | "slotsEach" | "capacities"> {
  types: { type: string }[];
  slots_each: number;
  /** Null of a worker whose SDK knows no capacities. */
  capacities: Record<string, number> | null;
}

interface WorkerColumns {
  worker_id: string;
  /** Null for an ended session. */
  state: WorkerState | null;
  gone_reason: string;
  fatal: string;
  pause_reason: string;
  loop_age_ms: number;
  active: number;
  released: number;
  slots: number;
  pool: string;
  silent_ms: number | null;
  quarantine: QuarantineColumn | null;
  completed: CompletionRecord | null;
  idle_ms: number | null;
}

interface RunningColumns {
  id: number;
  class_id: number;
  worker_id: string;
  phase: string;
  age_ms: number;
  progress: Omit<Progress, "at"> | null;
  progress_age_ms: number | null;
  stuck: boolean;
  stuck_count: number;
}

interface FailureColumns {
  id: number;
  class_id: number;
  worker_id: string;
  phase: string;
  age_ms: number;
  detail: string;
  code: string;
  message: string;
}

/** The fleet in lists of at most `limit`. */
export async function fleetReport(db: Database, limit: number): Promise<FleetReport> {
  const counted = db
    .cold<{ id: number; count: number }>(HELD, [])
    .then((rows) => [int8Array(rows.map(({ id }) => id)), int4Array(rows.map(({ count }) => count))]);
  const [groups, workers, running, failures, counts] = await Promise.all([
    counted.then((lists) => db.cold<GroupColumns>(GROUPS, lists)),
    counted.then((lists) => db.cold<WorkerColumns>(WORKERS, [limit, ...lists])),
    db.cold<RunningColumns>(RUNNING, [limit]),
    db.cold<FailureColumns>(FAILURES, [limit]),
    db.cold<{ count: number }>(FAILURE_COUNT, []),
  ]);
  return {
    groups: groups.map(({ slots_each, capacities, ...row }) => ({
      ...row,
      slotsEach: slots_each,
      capacities: capacities ?? {},
      types: row.types.map(({ type }) => type),
      workers: Number(row.workers),
      slots: Number(row.slots),
      active: Number(row.active),
    })),
    workers: workers.map(toWorkerLine),
    running: running.map(toRunning),
    stuckCount: running[0]?.stuck_count ?? 0,
    failures: failures.map(toFailure),
    failureCount: counts[0]?.count ?? 0,
  };
}

function toWorkerLine(row: WorkerColumns): WorkerLine {
  return {
    workerId: row.worker_id,
    state: row.state ?? endedState(row.gone_reason),
    goneReason: row.gone_reason,
    fatal: row.fatal,
    pauseReason: row.pause_reason,
    quarantine: row.quarantine ? toQuarantine(row.quarantine) : undefined,
    loopAgeMs: row.loop_age_ms,
    active: row.active,
    ...(row.released > 0 ? { released: row.released } : {}),
    slots: row.slots,
    pool: row.pool,
    silentMs: row.silent_ms ?? undefined,
    completions: row.completed ? { ...row.completed, idleMs: row.idle_ms ?? undefined } : undefined,
  };
}

function toRunning(row: RunningColumns): TaskLine {
  return {
    taskId: row.id,
    classId: row.class_id,
    workerId: row.worker_id,
    phase: row.phase,
    ageMs: row.age_ms,
    progress: row.progress ?? undefined,
    progressAgeMs: row.progress_age_ms ?? undefined,
    stuck: row.stuck,
    failureCode: "",
    failureMessage: "",
  };
}

function toFailure(row: FailureColumns): TaskLine {
  return {
    taskId: row.id,
    classId: row.class_id,
    workerId: row.worker_id,
    phase: row.phase,
    ageMs: row.age_ms,
    progress: undefined,
    stuck: false,
    failureCode: row.detail || row.code,
    failureMessage: row.message,
  };
}
