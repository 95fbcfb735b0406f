/** Reads counts of the fleet and its stuck attempts for the monitor. */
import type { Stuck } from "../../../domain/tasks/attempts/watchdog.ts";
import type { CompletionRecord } from "../../../domain/workers/completions.ts";
import type { FleetCounts, StuckAttempts, WorkerUse } from "../../store.ts";
import type { Database, Statement } from "../connection/database.ts";
import { ACTIVE } from "../task-states.ts";

// A worker declares its GPUs with the label `gpus` (how many) or `gpu` (which one: then it has one).
const COUNTS: Statement = {
  name: "monitor-fleet",
  text: `select count(*) as workers,
         count(*) filter (where s.ready and not s.draining and not l.disconnected and l.lease_until >= now()) as ready,
         coalesce(sum(g.gpus), 0) as gpus,
         coalesce(sum(g.gpus) filter (where jsonb_array_length(coalesce(l.heartbeat -> 'running', '[]')) > 0), 0)
           as busy_gpus
    from session_lease l
    join worker_session s on s.id = l.session_id
    cross join lateral (
      select case when s.hello -> 'labels' ->> 'gpus' ~ '^[0-9]{1,4}$' then (s.hello -> 'labels' ->> 'gpus')::int
                  when s.hello -> 'labels' ? 'gpu' then 1 else 0 end as gpus) g`,
};

// The scheduler that holds a worker's stream stores its verdict with the heartbeat, so the numbers are those of all
// schedulers. Verdicts on attempts that have ended since are skipped.
const STUCK: Statement = {
  name: "monitor-stuck",
  text: `select s.worker_id, t.id as task_id, t.epoch, c.queue, c.type, v.value as verdict, count(*) over () as total,
         extract(epoch from now() - l.heartbeat_time)::float8 * 1000 as beat_age_ms
    from session_lease l
    join worker_session s on s.id = l.session_id
    cross join lateral jsonb_path_query(l.heartbeat, '$.verdict.stuck[*]') as v(value)
    join task t on t.id = (v.value ->> 'taskId')::bigint and t.epoch = (v.value ->> 'epoch')::int and t.state in ${ACTIVE}
    join task_class c on c.id = t.class_id
   order by (v.value ->> 'elapsedMs')::float8 desc limit $1`,
};

const USE: Statement = {
  name: "monitor-use",
  text: `select s.worker_id, coalesce((l.heartbeat #>> '{seen,outstanding}')::int, 0) as active,
         l.heartbeat #> '{seen,completed}' as completed, (l.heartbeat #>> '{seen,idleMs}')::float8 as idle_ms,
         extract(epoch from now() - l.heartbeat_time)::float8 * 1000 as age_ms
    from session_lease l
    join worker_session s on s.id = l.session_id
   order by (l.heartbeat #>> '{seen,idleMs}')::float8 desc nulls last, s.worker_id limit $1`,
};

/** Counts of the living workers of all schedulers. */
export async function fleetCounts(db: Database): Promise<FleetCounts> {
  interface Row {
    workers: number;
    ready: number;
    gpus: number;
    busy_gpus: number;
  }
  const [row] = await db.cold<Row>(COUNTS, []);
  return {
    workers: Number(row?.workers ?? 0),
    ready: Number(row?.ready ?? 0),
    gpus: Number(row?.gpus ?? 0),
    busyGpus: Number(row?.busy_gpus ?? 0),
  };
}

/** Attempts that last too long, by the verdicts of all schedulers; longest first. */
export async function stuckAttempts(db: Database, limit: number): Promise<StuckAttempts> {
  interface Row {
    worker_id: string;
    task_id: number;
    epoch: number;
    queue: string;
    type: string;
    verdict: Stuck;
    total: number;
    beat_age_ms: number;
  }
  const rows = await db.cold<Row>(STUCK, [limit]);
  return {
    count: Number(rows[0]?.total ?? 0),
    attempts: rows.map((row) => ({
      taskId: row.task_id,
      epoch: row.epoch,
      queue: row.queue,
      type: row.type,
      workerId: row.worker_id,
      stuck: { ...row.verdict, elapsedMs: row.verdict.elapsedMs + row.beat_age_ms },
    })),
  };
}

/** Living workers with what they have completed, those that have been idle longest first. */
export async function workerUse(db: Database, limit: number): Promise<WorkerUse[]> {
  interface Row {
    worker_id: string;
    active: number;
    completed: CompletionRecord | null;
    idle_ms: number | null;
    age_ms: number;
  }
  const rows = await db.cold<Row>(USE, [limit]);
  return rows.map((row) => ({
    workerId: row.worker_id,
    active: row.active,
    completions: row.completed ? { ...row.completed, idleMs: row.idle_ms ?? undefined } : undefined,
    ageMs: Math.max(0, row.age_ms),
  }));
}
