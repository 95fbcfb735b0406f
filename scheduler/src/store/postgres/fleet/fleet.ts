/** Reads workers and launches as one list: sessions, launches, or both. */
import type {
  ExitRecord,
  LaunchEndReason,
  LaunchFacts,
  LaunchRecord,
} from "../../../domain/workers/launch.ts";
import type {
  FatalRecord,
  HeartbeatRecord,
  StartupPhaseRecord,
  WorkerHello,
  WorkerRecord,
} from "../../../domain/workers/worker.ts";
import type { WorkerSetting } from "../../../domain/workers/worker-setting.ts";
import type { LaunchFilter } from "../../store.ts";
import type { Database, Statement } from "../connection/database.ts";
import { type StopColumn, toStop } from "../sessions/launch-stops.ts";
import { type QuarantineColumn, toQuarantine } from "../sessions/quarantines.ts";

/** The columns of a launch `a`. */
export const LAUNCH_COLUMNS = `a.id as launch_row, a.launch_id, a.worker_id as launch_worker_id,
  a.pool as launch_pool, a.facts as launch_facts, a.phases as launch_phases, a.launch_time, a.report_time, a.stop, a.end_time,
  a.end_reason, a.exit, a.restart_time, a.requeued`;

const WORKER_COLUMNS = `s.id, s.uuid::text as uuid, s.worker_id, s.scheduler_id, s.hello, s.phases, s.ready, s.draining,
  s.connect_time, s.gone_time, s.gone_reason, s.fatal, l.lease_until, l.heartbeat_time, l.heartbeat,
  coalesce(l.disconnected, false) as disconnected, ${LAUNCH_COLUMNS}, coalesce(s.id, a.id) as place,
  (select json_build_object('reason', p.reason, 'since', extract(epoch from p.pause_time) * 1000)
     from worker_pause p where p.worker_id = s.worker_id and s.gone_time is null) as operator_pause,
  case when s.gone_time is null then s.quarantine end as quarantine`;

const SESSIONS = `worker_session s left join session_lease l on l.session_id = s.id
    left join launch a on a.launch_id = s.launch_id`;

// Processes that were launched and have not registered: those that have are among the sessions.
const UNREGISTERED = `launch a left join worker_session s on s.launch_id = a.launch_id
    left join session_lease l on l.session_id = s.id`;

const LIST: Statement = {
  name: "worker-list",
  text: `(select ${WORKER_COLUMNS} from ${SESSIONS}
    where ($1::text is null or s.hello ->> 'pool' = $1 or a.pool = $1)
      and ($2::boolean is null or (s.gone_time is null) = $2)
      and ($3::bigint is null or s.id < $3)
      and ($5::text is null or s.scheduler_id <> $5)
    order by s.id desc limit $4)
  union all
  (select ${WORKER_COLUMNS} from ${UNREGISTERED}
    where s.id is null and $5::text is null
      and ($1::text is null or a.pool = $1)
      and ($2::boolean is null or (a.end_time is null) = $2)
      and ($3::bigint is null or a.id < $3)
    order by a.id desc limit $4)
  order by place desc limit $4`,
};

const GET: Statement = {
  name: "worker-get",
  text: `select w.*, t.log_tail, n.settings from (
    (select ${WORKER_COLUMNS}, s.gone_time is null as living from ${SESSIONS}
      where s.worker_id = $1 or s.uuid::text = lower($1)
      order by s.gone_time is null desc, s.id desc limit 1)
    union all
    (select ${WORKER_COLUMNS}, s.gone_time is null as living from launch a
       join worker_session s on s.launch_id = a.launch_id left join session_lease l on l.session_id = s.id
      where a.worker_id = $1 or a.launch_id = $1
      order by s.gone_time is null desc, s.id desc limit 1)
    union all
    (select ${WORKER_COLUMNS}, a.end_time is null as living from ${UNREGISTERED}
      where s.id is null and (a.worker_id = $1 or a.launch_id = $1)
      order by a.end_time is null desc, a.id desc limit 1)) w
    left join launch t on t.id = w.launch_row
    left join worker_session n on n.id = w.id
   order by living desc, place desc limit 1`,
};

const WAITING: Statement = {
  name: "launch-waiting",
  text: `select ${WORKER_COLUMNS} from ${UNREGISTERED}
    where s.id is null and a.end_time is null order by a.id limit $1`,
};

// A launch is read with its newest session.
const LAUNCHES: Statement = {
  name: "launch-list",
  text: `select ${WORKER_COLUMNS} from launch a
    left join lateral (
      select * from worker_session s where s.launch_id = a.launch_id order by s.id desc limit 1) s on true
    left join session_lease l on l.session_id = s.id
    where ($1::text is null or a.worker_id = $1)
      and ($2::text is null or a.pool = $2)
      and ($3::bigint is null or a.id < $3)
      and ($5::float8 is null or (
        a.end_time > now() - $5 * interval '1 ms' and a.end_reason not in ('finished', 'superseded')
        and not exists (select from launch n where n.worker_id = a.worker_id and n.id > a.id)
        and not exists (select from worker_session n where n.worker_id = a.worker_id and n.gone_time is null)))
    order by a.id desc limit $4`,
};

const LEASE_HOLDERS: Statement = {
  name: "session-lease-holders",
  text: "select session_id, scheduler_id from session_lease where session_id = any($1::bigint[])",
};

interface SessionColumns {
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
  operator_pause: { reason: string; since: number } | null;
  quarantine: QuarantineColumn | null;
  /** Only of a single worker. */
  settings?: WorkerSetting[] | null;
}

/** A row of them. */
export interface LaunchColumns {
  launch_row: number;
  launch_id: string;
  launch_worker_id: string;
  launch_pool: string;
  launch_facts: LaunchFacts;
  launch_phases: StartupPhaseRecord[];
  launch_time: Date;
  report_time: Date;
  stop: StopColumn | null;
  end_time: Date | null;
  end_reason: LaunchEndReason | null;
  exit: ExitRecord | null;
  restart_time: Date | null;
  requeued: number;
  log_tail?: string | null;
}

/** A session, a launch, or both. */
type WorkerColumns = (SessionColumns | NoSession) & (LaunchColumns | { launch_row: null });

interface NoSession {
  id: null;
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

/** A worker by its id (the newest session or launch, a living one first), its session's uuid or its launch id. */
export async function getWorker(db: Database, id: string): Promise<WorkerRecord | undefined> {
  const [row] = await db.cold<WorkerColumns>(GET, [id]);
  return row && toWorker(row);
}

/** Processes that were launched, have not registered and have not ended, oldest first. */
export async function waitingLaunches(db: Database, limit: number): Promise<LaunchRecord[]> {
  return (await db.cold<WorkerColumns>(WAITING, [limit])).flatMap((row) => toWorker(row).launch ?? []);
}

/** Launches, newest first, each with its newest session. */
export async function listLaunches(db: Database, filter: LaunchFilter): Promise<WorkerRecord[]> {
  const rows = await db.cold<WorkerColumns>(LAUNCHES, [
    filter.workerId ?? null,
    filter.pool ?? null,
    filter.beforeId ?? null,
    filter.limit,
    filter.failedWithinMs ?? null,
  ]);
  return rows.map(toWorker);
}

/** Which scheduler holds each session's lease; sessions without a lease are missing. */
export async function leaseHolders(
  db: Database,
  sessionIds: readonly number[],
): Promise<ReadonlyMap<number, string>> {
  const rows = await db.cold<{ session_id: number; scheduler_id: string }>(LEASE_HOLDERS, [sessionIds]);
  return new Map(rows.map((row) => [row.session_id, row.scheduler_id]));
}

function toWorker(row: WorkerColumns): WorkerRecord {
  const launch = row.launch_row === null ? undefined : toLaunch(row);
  if (row.id === null) {
    if (!launch) throw new Error("a row of the list of workers has neither a session nor a launch");
    return unregistered(launch);
  }
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
    // The supervisor that saw the process end has a better reason than the lost heartbeat.
    goneReason:
      (row.gone_reason === "lost" && launch?.end?.exit && launch.end.reason) ||
      (row.gone_reason ?? undefined),
    fatal: row.fatal ?? launch?.end?.exit?.fatal,
    activeCount: row.heartbeat?.running.length ?? 0,
    launch,
    ...(row.settings ? { settings: row.settings } : {}),
    ...(row.quarantine ? { quarantine: toQuarantine(row.quarantine) } : {}),
    ...(row.operator_pause
      ? { operatorPause: { reason: row.operator_pause.reason, since: new Date(row.operator_pause.since) } }
      : {}),
  };
}

/** A launch from its columns. */
export function toLaunch(row: LaunchColumns): LaunchRecord {
  return {
    ...row.launch_facts,
    rowId: row.launch_row,
    id: row.launch_id,
    workerId: row.launch_worker_id,
    pool: row.launch_pool,
    phases: row.launch_phases,
    launchTime: row.launch_time,
    reportTime: row.report_time,
    ...(row.stop ? { stop: toStop(row.stop) } : {}),
    end:
      row.end_time && row.end_reason
        ? {
            time: row.end_time,
            reason: row.end_reason,
            exit: row.exit ?? undefined,
            restartTime: row.restart_time ?? undefined,
            logTail: row.log_tail ?? undefined,
            requeued: row.requeued,
          }
        : undefined,
  };
}

/** The record of a process that has never registered. */
function unregistered(launch: LaunchRecord): WorkerRecord {
  const { rowId, workerId, pool, id, hostname, pid, phases, launchTime, end } = launch;
  return {
    sessionId: rowId,
    sessionUuid: "",
    workerId,
    schedulerId: "",
    hello: {
      ...{ sdk: "", pool, labels: {}, types: [], queues: [], slots: 0, prefetch: 0, resources: [] },
      launchId: id,
      features: [],
      host: {
        ...{ hostname, pid, uid: undefined, gid: undefined, cwd: "" },
        ...{ cpus: 0, memoryBytes: 0, runtime: "" },
      },
    },
    phases,
    ready: false,
    draining: false,
    connectTime: launchTime,
    heartbeatTime: undefined,
    leaseUntil: undefined,
    disconnected: false,
    heartbeat: undefined,
    goneTime: end?.time,
    goneReason: end?.reason,
    fatal: end?.exit?.fatal,
    activeCount: 0,
    launch,
  };
}
