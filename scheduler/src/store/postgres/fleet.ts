import type {
  FatalRecord,
  HeartbeatRecord,
  StartupPhaseRecord,
  WorkerHello,
  WorkerRecord,
} from "../../domain/worker.ts";
import type { ClassDepth, QueueRow } from "../store.ts";
import type { Database, Statement } from "./database.ts";

const WORKER_COLUMNS = `s.id, s.uuid::text as uuid, s.worker_id, s.scheduler_id, s.hello, s.phases, s.ready, s.draining,
  s.connect_time, s.gone_time, s.gone_reason, s.fatal, l.lease_until, l.heartbeat_time, l.heartbeat,
  coalesce(l.disconnected, false) as disconnected`;

const LIST: Statement = {
  name: "worker-list",
  text: `select ${WORKER_COLUMNS} from worker_session s left join session_lease l on l.session_id = s.id
    where ($1::text is null or s.hello ->> 'pool' = $1)
      and ($2::boolean is null or (s.gone_time is null) = $2)
      and ($3::bigint is null or s.id < $3)
      and ($5::text is null or s.scheduler_id <> $5)
    order by s.id desc limit $4`,
};

const GET: Statement = {
  name: "worker-get",
  text: `select ${WORKER_COLUMNS} from worker_session s left join session_lease l on l.session_id = s.id
    where s.worker_id = $1 or s.uuid::text = lower($1)
    order by s.gone_time is null desc, s.id desc limit 1`,
};

const LEASE_HOLDERS: Statement = {
  name: "session-lease-holders",
  text: "select session_id, scheduler_id from session_lease where session_id = any($1::bigint[])",
};

const QUEUES: Statement = {
  name: "queue-list",
  text: "select name, pause_time, pause_reason from queue order by name",
};

const SET_PAUSED: Statement = {
  name: "queue-set-paused",
  text: `with q as (
    insert into queue (name, pause_time, pause_reason) values ($1, case when $2::text is null then null else now() end, $2)
    on conflict (name) do update
       set pause_time = case when $2::text is null then null else coalesce(queue.pause_time, now()) end, pause_reason = $2
    returning name, pause_time, pause_reason),
  e as (
    insert into event (name, attributes)
    select case when $2::text is null then 'queue.resumed' else 'queue.paused' end,
           jsonb_strip_nulls(jsonb_build_object('queue', $1::text, 'reason', $2::text))
      from q),
  n as (select pg_notify('muster', '{"kind":"queue"}'))
  select q.* from q, n`,
};

const DEPTHS: Statement = {
  name: "queue-depths",
  text: `select class_id,
         count(*) filter (where state = 0 and wake_time is null) as ready,
         count(*) filter (where state = 0 and wake_time is not null) as scheduled,
         count(*) filter (where state in (1, 2)) as active,
         count(*) filter (where state = 2) as running,
         extract(epoch from now() - min(create_time) filter (where state = 0 and wake_time is null))::float8 * 1000
           as oldest_ms
    from task group by class_id`,
};

interface WorkerColumns {
  id: number;
  uuid: string;
  worker_id: string;
  scheduler_id: string;
  hello: WorkerHello;
  phases: StartupPhaseRecord[];
  ready: boolean;
  draining: boolean;
  connect_time: Date;
  gone_time: Date | null;
  gone_reason: string | null;
  fatal: FatalRecord | null;
  lease_until: Date | null;
  heartbeat_time: Date | null;
  heartbeat: HeartbeatRecord | null;
  disconnected: boolean;
}

/** Workers, newest first. */
export async function listWorkers(
  db: Database,
  filter: {
    pool: string | undefined;
    living: boolean | undefined;
    beforeId: number | undefined;
    limit: number;
    exceptScheduler?: string;
  },
): Promise<WorkerRecord[]> {
  const rows = await db.cold<WorkerColumns>(LIST, [
    filter.pool ?? null,
    filter.living ?? null,
    filter.beforeId ?? null,
    filter.limit,
    filter.exceptScheduler ?? null,
  ]);
  return rows.map(toWorker);
}

/** A worker by its id (the newest session, a living one first) or by its session's uuid. */
export async function getWorker(db: Database, id: string): Promise<WorkerRecord | undefined> {
  const [row] = await db.cold<WorkerColumns>(GET, [id]);
  return row && toWorker(row);
}

/** Which scheduler holds each session's lease; sessions without a lease are missing. */
export async function leaseHolders(
  db: Database,
  sessionIds: readonly number[],
): Promise<ReadonlyMap<number, string>> {
  const rows = await db.cold<{ session_id: number; scheduler_id: string }>(LEASE_HOLDERS, [sessionIds]);
  return new Map(rows.map((row) => [row.session_id, row.scheduler_id]));
}

/** Every queue by name. */
export async function listQueues(db: Database): Promise<QueueRow[]> {
  return (await db.cold<QueueColumns>(QUEUES, [])).map(toQueue);
}

/** Pauses a queue, or resumes it when there is no reason; made when it does not exist. */
export async function setQueuePaused(
  db: Database,
  name: string,
  reason: string | undefined,
): Promise<QueueRow> {
  const [row] = await db.cold<QueueColumns>(SET_PAUSED, [name, reason ?? null]);
  if (!row) throw new Error(`queue ${name} was not written`);
  return toQueue(row);
}

/** Counts of the open tasks by class. Reads the whole open table: for people and the monitor, not for loops. */
export async function depths(db: Database): Promise<ClassDepth[]> {
  interface Row {
    class_id: number;
    ready: number;
    scheduled: number;
    active: number;
    running: number;
    oldest_ms: number | null;
  }
  return (await db.cold<Row>(DEPTHS, [])).map((row) => ({
    classId: row.class_id,
    ready: row.ready,
    scheduled: row.scheduled,
    active: row.active,
    running: row.running,
    oldestReadyAgeMs: row.oldest_ms ?? undefined,
  }));
}

interface QueueColumns {
  name: string;
  pause_time: Date | null;
  pause_reason: string | null;
}

function toQueue(row: QueueColumns): QueueRow {
  return {
    name: row.name,
    pauseTime: row.pause_time ?? undefined,
    pauseReason: row.pause_reason ?? undefined,
  };
}

function toWorker(row: WorkerColumns): WorkerRecord {
  return {
    sessionId: row.id,
    sessionUuid: row.uuid,
    workerId: row.worker_id,
    schedulerId: row.scheduler_id,
    hello: row.hello,
    phases: row.phases,
    ready: row.ready,
    draining: row.draining,
    connectTime: row.connect_time,
    heartbeatTime: row.heartbeat_time ?? undefined,
    leaseUntil: row.lease_until ?? undefined,
    disconnected: row.disconnected,
    heartbeat: row.heartbeat ?? undefined,
    goneTime: row.gone_time ?? undefined,
    goneReason: row.gone_reason ?? undefined,
    fatal: row.fatal ?? undefined,
    activeCount: row.heartbeat?.running.length ?? 0,
  };
}
