/** Finds the locks of other programs that statements of Muster wait for. */
import type { DatabaseLock } from "../../../domain/database/database-lock.ts";
import type { Database, Statement } from "../connection/database.ts";

/** SQL that is true for sessions of a scheduler's pools, which never wait long for each other. */
const isScheduler = (application: string) =>
  `(${application} like 'muster % hot' or ${application} like 'muster % cold')`;

const FOREIGN_LOCK: Statement = {
  name: "foreign-lock",
  text: `select waits.waiting_count, waits.wait_ms, holder.pid, holder.application, holder.state, holder.age_ms,
           holder.transaction
    from (
      select a.pid, count(*) over ()::int as waiting_count,
             extract(epoch from clock_timestamp() - l.since)::float8 * 1000 as wait_ms
        from pg_stat_activity a
        join lateral (select min(waitstart) as since from pg_locks where pid = a.pid and not granted) l on true
       where a.datname = current_database() and a.wait_event_type = 'Lock'
         and ${isScheduler("a.application_name")}
         and (a.wait_event = 'relation' or $2::boolean)
         and l.since < clock_timestamp() - $1::float8 * interval '1 ms'
         and exists (select from unnest(pg_blocking_pids(a.pid)) as p(pid)
                       left join pg_stat_activity o on o.pid = p.pid
                      where not coalesce(${isScheduler("o.application_name")}, false))
       order by l.since limit 1) waits
    left join lateral (
      select o.pid, coalesce(o.application_name, '') as application, coalesce(o.state, '') as state,
             extract(epoch from clock_timestamp() - o.xact_start)::float8 * 1000 as age_ms,
             o.xact_start::text as transaction
        from unnest(pg_blocking_pids(waits.pid)) as p(pid)
        join pg_stat_activity o on o.pid = p.pid
       where not coalesce(${isScheduler("o.application_name")}, false)
       order by o.xact_start limit 1) holder on true`,
};

const STILL_OPEN: Statement = {
  name: "still-open",
  text: "select from pg_stat_activity where pid = $1 and xact_start = $2::timestamptz",
};

interface Found {
  readonly lock: DatabaseLock;
  /** When the holder's transaction began; null when the role may not see it. */
  readonly transaction: string | null;
}

/** A lock of another program, on a table or a row, that statements have waited for, for at least `afterMs`. */
export async function foreignLock(db: Database, afterMs: number): Promise<DatabaseLock | undefined> {
  return (await find(db, afterMs, true))?.lock;
}

/** Checks whether another program locks a table that statements need; a locked row delays at most its own batch. */
export class LockWatch {
  readonly #db: Database;
  /** The holder found last, and its transaction. */
  #found: (Found & { readonly atMs: number }) | undefined;

  constructor(db: Database) {
    this.#db = db;
  }

  /**
   * The lock that statements have waited for, for at least `afterMs`. Once found it is reported for as long as its
   * holder's transaction is open: between the timeout of one statement and the next try no statement waits.
   */
  async look(afterMs: number, nowMs: number): Promise<DatabaseLock | undefined> {
    const found = await find(this.#db, afterMs, false);
    if (found) {
      this.#found = { ...found, atMs: nowMs };
      return found.lock;
    }
    if (!this.#found) return undefined;
    const { lock, atMs, transaction } = this.#found;
    if (lock.holder && (await this.#db.coldOnce(STILL_OPEN, [lock.holder.pid, transaction])).length > 0)
      return { ...lock, waitMs: lock.waitMs + nowMs - atMs };
    this.#found = undefined;
    return undefined;
  }
}

async function find(db: Database, afterMs: number, rowsToo: boolean): Promise<Found | undefined> {
  // No wait is longer than the age of the oldest statement under way.
  if (db.oldestStatementMs < afterMs) return undefined;
  const [row] = await db.coldOnce<{
    waiting_count: number;
    wait_ms: number;
    pid: number | null;
    application: string | null;
    state: string | null;
    age_ms: number | null;
    transaction: string | null;
  }>(FOREIGN_LOCK, [afterMs, rowsToo]);
  if (!row) return undefined;
  const { pid, application, state, age_ms: ageMs, transaction } = row;
  const holder =
    pid === null
      ? undefined
      : { pid, application: application ?? "", state: state ?? "", ageMs: ageMs ?? undefined };
  return { lock: { waitingCount: row.waiting_count, waitMs: row.wait_ms, holder }, transaction };
}
