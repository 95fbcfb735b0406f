/** Reads the state of the database and of the schedulers for `muster doctor`. */
import type { DatabaseReport, SchedulerReport, SchedulerStatus } from "../../../domain/reports.ts";
import type { Database, Statement } from "../connection/database.ts";
import { loadMigrations, migrationName } from "../schema/migrate.ts";

/** Waits for a lock are reported after this. */
const BLOCKED_AFTER_MS = 1_000;

const SERVER: Statement = {
  name: "inspect-server",
  text: `select current_setting('server_version') as version,
    current_setting('transaction_read_only') = 'on' as read_only, pg_is_in_recovery() as replica,
    current_setting('fsync') = 'on' as fsync, current_setting('synchronous_commit') as synchronous_commit,
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int as allowed,
    (select count(*) from pg_stat_activity where backend_type = 'client backend') as used,
    to_regclass('event_' || to_char((now() at time zone 'utc')::date + 1, 'YYYYMMDD')) is not null as partitions_ahead,
    (select extract(epoch from now() - min(create_time))::float8 * 1000 from command) as command_age_ms`,
};

// Without pg_read_all_stats, transactions of other roles have no times; they are left out.
const TRANSACTION: Statement = {
  name: "inspect-transaction",
  text: `select pid, application_name as application, coalesce(state, '') as state,
    extract(epoch from clock_timestamp() - xact_start)::float8 * 1000 as age_ms
    from pg_stat_activity
   where datname = current_database() and xact_start is not null and pid <> pg_backend_pid()
     and backend_type = 'client backend'
   order by xact_start limit 1`,
};

const BLOCKED: Statement = {
  name: "inspect-blocked",
  text: `select extract(epoch from clock_timestamp() - a.query_start)::float8 * 1000 as wait_ms,
    left(a.query, 120) as statement, b.pid as by_pid, coalesce(b.application_name, '') as by_application
    from pg_stat_activity a
    left join lateral (
      select o.pid, o.application_name from unnest(pg_blocking_pids(a.pid)) as p(pid)
        join pg_stat_activity o on o.pid = p.pid limit 1) b on true
   where a.datname = current_database() and a.application_name like 'muster %' and a.wait_event_type = 'Lock'
     and a.query_start < clock_timestamp() - $1::float8 * interval '1 ms'
   order by a.query_start limit 5`,
};

const REPLICAS: Statement = {
  name: "inspect-replicas",
  text: `select coalesce(application_name, '') as name,
    coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn), 0)::float8 as lag_bytes
    from pg_stat_replication where not pg_is_in_recovery()`,
};

const MIGRATIONS: Statement = {
  name: "inspect-migrations",
  text: "select number, name, checksum from migration order by number",
};

const SCHEDULERS: Statement = {
  name: "inspect-schedulers",
  text: `select id, address, version, start_time, announce_time, lease_until, nullif(status, '{}') as status
    from scheduler order by start_time limit 1000`,
};

/** The state of the database. */
export async function inspectDatabase(db: Database): Promise<DatabaseReport> {
  interface Server {
    version: string;
    read_only: boolean;
    replica: boolean;
    fsync: boolean;
    synchronous_commit: string;
    allowed: number;
    used: number;
    partitions_ahead: boolean;
    command_age_ms: number | null;
  }
  const [server] = await db.coldOnce<Server>(SERVER, []);
  if (!server) throw new Error(`the statement ${SERVER.name} returned no row`);
  const [transaction] = await db.coldOnce<{
    pid: number;
    application: string;
    state: string;
    age_ms: number;
  }>(TRANSACTION, []);
  const blocked = await db.coldOnce<{
    wait_ms: number;
    statement: string;
    by_pid: number | null;
    by_application: string;
  }>(BLOCKED, [BLOCKED_AFTER_MS]);
  const replicas = server.replica ? [] : await db.coldOnce<{ name: string; lag_bytes: number }>(REPLICAS, []);
  const applied = await db.coldOnce<{ number: number; name: string; checksum: string }>(MIGRATIONS, []);
  const known = await loadMigrations();
  const mine = new Map(known.map((migration) => [migration.number, migration]));
  const done = new Set(applied.map(({ number }) => number));
  return {
    version: server.version.split(" ")[0] ?? server.version,
    readOnly: server.read_only,
    replica: server.replica,
    missingMigrations: known.filter(({ number }) => !done.has(number)).map(migrationName),
    foreignMigrations: applied
      .filter((row) => mine.get(row.number)?.checksum !== row.checksum)
      .map(migrationName),
    connections: { used: server.used, allowed: server.allowed },
    connectionShortage: await db.connectionShortage(),
    oldestTransaction: transaction && {
      ageMs: transaction.age_ms,
      pid: transaction.pid,
      application: transaction.application,
      state: transaction.state,
    },
    blocked: blocked.map((row) => ({
      waitMs: row.wait_ms,
      statement: row.statement,
      byPid: row.by_pid ?? undefined,
      byApplication: row.by_application,
    })),
    fsync: server.fsync,
    synchronousCommit: server.synchronous_commit,
    partitionsAhead: server.partitions_ahead,
    replicas: replicas.map(({ name, lag_bytes }) => ({ name, lagBytes: lag_bytes })),
    oldestCommandAgeMs: server.command_age_ms ?? undefined,
  };
}

/** The living schedulers, and those that ended within the hour without signing off. */
export async function listSchedulers(db: Database): Promise<SchedulerReport[]> {
  interface Row {
    id: string;
    address: string;
    version: string;
    start_time: Date;
    announce_time: Date;
    lease_until: Date;
    status: SchedulerStatus | null;
  }
  return (await db.cold<Row>(SCHEDULERS, [])).map((row) => ({
    id: row.id,
    address: row.address,
    version: row.version,
    startTime: row.start_time,
    announceTime: row.announce_time,
    leaseUntil: row.lease_until,
    status: row.status ?? undefined,
  }));
}
