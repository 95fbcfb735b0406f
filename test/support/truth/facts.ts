/** Reads from the database and the processes what is true. */
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { kill, platform } from "node:process";
import pg from "pg";

/** A task as its row has it; times are milliseconds since the epoch by the database's clock. */
export interface TaskFact {
  readonly id: string;
  readonly state: string;
  readonly queue: string;
  readonly type: string;
  readonly epoch: number;
  readonly sessionId: number | null;
  readonly workerId: string | null;
  readonly cancelled: boolean;
  readonly createMs: number;
  readonly wakeMs: number | null;
  readonly assignMs: number | null;
  readonly acceptMs: number | null;
  readonly startMs: number | null;
  readonly cancelMs: number | null;
  readonly finishMs: number | null;
  /** When its last attempt ended without ending the task. */
  readonly returnedMs: number | null;
  readonly failureCode: string | null;
}

/** A worker process as its row has it. */
export interface SessionFact {
  readonly sessionId: number;
  readonly workerId: string;
  readonly schedulerId: string;
  readonly pid: number;
  readonly hostname: string;
  readonly sdk: string;
  readonly connectMs: number;
  readonly heartbeatMs: number | null;
  readonly leaseUntilMs: number | null;
  readonly disconnected: boolean;
  readonly goneMs: number | null;
  readonly goneReason: string | null;
}

/** A queue with what waits in it. */
export interface QueueFact {
  readonly name: string;
  readonly pauseMs: number | null;
  readonly ready: number;
  readonly scheduled: number;
  readonly active: number;
}

/** What the database holds at one moment. */
export interface Facts {
  readonly now: number;
  readonly tasks: readonly TaskFact[];
  /** The newest session of each worker id. */
  readonly sessions: readonly SessionFact[];
  readonly queues: readonly QueueFact[];
  /** Worker ids that have no session: launched or refused. */
  readonly otherWorkers: readonly string[];
  /** Names of pools. */
  readonly pools: readonly string[];
}

const ms = (column: string) => `(extract(epoch from ${column}) * 1000)::float8`;

const TASKS = `
  select 't-' || t.id as id, (array['queued', 'assigned', 'running'])[t.state + 1] as state, c.queue, c.type, t.epoch,
    t.session_id as "sessionId", s.worker_id as "workerId", t.cancel_time is not null as cancelled,
    ${ms("t.create_time")} as "createMs", ${ms("t.wake_time")} as "wakeMs", ${ms("t.assign_time")} as "assignMs",
    ${ms("t.accept_time")} as "acceptMs", ${ms("t.start_time")} as "startMs", ${ms("t.cancel_time")} as "cancelMs",
    null::float8 as "finishMs", t.failure ->> 'code' as "failureCode",
    (select ${ms("max(a.end_time)")} from task_attempt a where a.task_id = t.id) as "returnedMs"
    from task t join task_class c on c.id = t.class_id left join worker_session s on s.id = t.session_id
  union all
  select 't-' || f.id, (array['succeeded', 'failed', 'cancelled'])[f.state - 2], c.queue, c.type, f.epoch,
    f.session_id, s.worker_id, f.cancel_time is not null, ${ms("f.create_time")}, null, ${ms("f.assign_time")},
    ${ms("f.accept_time")}, ${ms("f.start_time")}, ${ms("f.cancel_time")}, ${ms("f.finish_time")},
    f.failure ->> 'code', null
    from task_finished f join task_class c on c.id = f.class_id left join worker_session s on s.id = f.session_id`;

const SESSIONS = `
  select distinct on (s.worker_id) s.id as "sessionId", s.worker_id as "workerId", s.scheduler_id as "schedulerId",
    coalesce((s.hello -> 'host' ->> 'pid')::int, 0) as pid, coalesce(s.hello -> 'host' ->> 'hostname', '') as hostname,
    s.hello ->> 'sdk' as sdk, ${ms("s.connect_time")} as "connectMs", ${ms("l.heartbeat_time")} as "heartbeatMs",
    ${ms("l.lease_until")} as "leaseUntilMs", coalesce(l.disconnected, false) as disconnected,
    ${ms("s.gone_time")} as "goneMs", s.gone_reason as "goneReason"
    from worker_session s left join session_lease l on l.session_id = s.id
   order by s.worker_id, s.gone_time is null desc, s.id desc`;

const QUEUES = `
  select q.name, ${ms("q.pause_time")} as "pauseMs",
    count(t.id) filter (where t.state = 0 and t.wake_time is null)::int as ready,
    count(t.id) filter (where t.state = 0 and t.wake_time is not null)::int as scheduled,
    count(t.id) filter (where t.state > 0)::int as active
    from queue q left join task_class c on c.queue = q.name left join task t on t.class_id = c.id
   group by q.name, q.pause_time`;

const FACTS = `select ${ms("clock_timestamp()")} as now,
  (select coalesce(json_agg(x), '[]') from (${TASKS}) x) as tasks,
  (select coalesce(json_agg(x), '[]') from (${SESSIONS}) x) as sessions,
  (select coalesce(json_agg(x), '[]') from (${QUEUES}) x) as queues,
  (select coalesce(json_agg(x.worker_id), '[]') from (
    select worker_id from launch union select worker_id from worker_refusal) x) as "otherWorkers",
  (select coalesce(json_agg(name), '[]') from pool) as pools`;

/** Locks that a test holds on tables of Muster: what waits for them says nothing before they are gone. */
const HELD_LOCKS = `select count(*)::int as count from pg_locks l join pg_class c on c.oid = l.relation
  where c.relnamespace = 'muster'::regnamespace and l.granted and l.locktype = 'relation'
    and l.mode in ('ExclusiveLock', 'AccessExclusiveLock', 'ShareRowExclusiveLock', 'ShareLock')
    and l.pid <> pg_backend_pid()`;

/** Reads facts past Muster, on a connection of its own: a lock that a test holds must not hold up the look. */
export class FactReader {
  readonly #pool: pg.Pool;

  constructor(url: string) {
    this.#pool = new pg.Pool({
      connectionString: url,
      max: 1,
      connectionTimeoutMillis: 2_000,
      options: "-c search_path=muster,public -c lock_timeout=300 -c statement_timeout=2000",
    });
    // Tests cut connections and stop servers; the next read says so.
    this.#pool.on("error", () => undefined);
  }

  /** All of it in one statement. */
  async read(): Promise<Facts> {
    const { rows } = await this.#pool.query<Facts>(FACTS);
    const [facts] = rows;
    if (!facts) throw new Error("the database answered nothing");
    return facts;
  }

  /** False while the database is stopped or a test has locked it: then there is nothing to compare with. */
  async ready(): Promise<boolean> {
    try {
      const { rows } = await this.#pool.query<{ count: number }>(HELD_LOCKS);
      return rows[0]?.count === 0;
    } catch {
      return false;
    }
  }

  close(): Promise<void> {
    return this.#pool.end();
  }
}

/** True for what a read of facts throws. */
export function isDatabaseError(error: unknown): boolean {
  return (
    error instanceof pg.DatabaseError ||
    (error instanceof Error && /^Connection terminated/.test(error.message))
  );
}

/** A process of this machine; `unknown` for one of another, or where the machine does not tell. */
export type ProcessState = "runs" | "stopped" | "ended" | "unknown";

/** How the worker's process does, by the machine itself. */
export function processState({ pid, hostname: host }: Pick<SessionFact, "pid" | "hostname">): ProcessState {
  if (pid <= 0 || host !== hostname()) return "unknown";
  if (platform !== "linux") return signalled(pid) ? "runs" : "ended";
  try {
    // Its name, in brackets, may hold spaces.
    const state = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.[0];
    return state === "T" ? "stopped" : state === "Z" || state === "X" ? "ended" : "runs";
  } catch {
    return "ended";
  }
}

function signalled(pid: number): boolean {
  try {
    return kill(pid, 0);
  } catch {
    return false;
  }
}
