/** Settings of every session. */
import { randomBytes } from "node:crypto";
import type pg from "pg";

/** Bounds every statement: a stuck one must not block its connection forever. Half of the default lease. */
export const STATEMENT_TIMEOUT_MS = 15_000;

/** Settings of the server for a session, by name. */
export type SessionSettings = Readonly<Record<string, string>>;

/**
 * Settings that every session of Muster relies on, whatever is set for the role, the database or the server. They are
 * set after the session's start: PgBouncer refuses `options` in the startup packet unless it is configured to ignore them.
 *
 * `default_transaction_read_only` is left as it is: an operator who sets it means to keep Muster from writing too.
 */
const EVERY_SESSION: SessionSettings = {
  search_path: "muster,public",
  lock_timeout: "0",
  idle_session_timeout: "0",
  default_transaction_isolation: "read committed",
  default_transaction_deferrable: "off",
  row_security: "on",
  client_min_messages: "warning",
  // The formats that the driver reads and writes.
  datestyle: "ISO",
  intervalstyle: "postgres",
  timezone: "UTC",
  bytea_output: "hex",
  extra_float_digits: "1",
  array_nulls: "on",
  transform_null_equals: "off",
  // Statements find tasks through indexes; the server scans a big table only when there is no other way.
  enable_indexscan: "on",
  enable_indexonlyscan: "on",
  enable_nestloop: "on",
  enable_sort: "on",
  enable_hashagg: "on",
  enable_material: "on",
  enable_partition_pruning: "on",
  jit: "off",
};

/** A scheduler that is stopped within a transaction must not hold its locks for longer than this. */
const BOUNDED: SessionSettings = {
  statement_timeout: String(STATEMENT_TIMEOUT_MS),
  idle_in_transaction_session_timeout: String(STATEMENT_TIMEOUT_MS),
};

/** For migrations and listening, which have no bound. */
const UNBOUNDED: SessionSettings = { statement_timeout: "0", idle_in_transaction_session_timeout: "0" };

// The hot statements find tasks by primary key. With statistics of a small table the planner chooses scans and hash
// joins, which measured 3.5 times slower; so their plans are pinned. Without statistics it expects few tasks in a class, and
// would read all of them with a bitmap and sort them to find the first ones: the index for claims has them in order.
const PINNED_PLANS: SessionSettings = {
  enable_seqscan: "off",
  enable_bitmapscan: "off",
  enable_hashjoin: "off",
  enable_mergejoin: "off",
  plan_cache_mode: "force_generic_plan",
};
const FREE_PLANS: SessionSettings = {
  enable_seqscan: "on",
  enable_bitmapscan: "on",
  enable_hashjoin: "on",
  enable_mergejoin: "on",
  plan_cache_mode: "auto",
};

/** Begins a transaction that has the plans of the hot statements on a session with free plans: one round trip for all. */
export const BEGIN_PINNED = [
  "begin",
  ...Object.entries(PINNED_PLANS).map(([name, value]) => `set local ${name} = ${value}`),
].join("; ");

/** The settings by the use of a connection. */
export const SESSIONS = {
  hot: { ...EVERY_SESSION, ...BOUNDED, ...PINNED_PLANS },
  cold: { ...EVERY_SESSION, ...BOUNDED, ...FREE_PLANS },
  listen: { ...EVERY_SESSION, ...UNBOUNDED },
  migrate: { ...EVERY_SESSION, ...UNBOUNDED, ...FREE_PLANS },
} as const satisfies Record<string, SessionSettings>;

/** The setting that identifies a session. */
const MARK = "muster.session";

/** The mark of a session, and its server process. */
export const READ_MARK = `pg_backend_pid() as pid, coalesce(current_setting('${MARK}', true), '') as mark`;

/**
 * Sets up a fresh session.
 *
 * @returns Its mark: a session that shows another one is not the one that was set up.
 */
export async function setUp(client: pg.ClientBase, settings: SessionSettings): Promise<string> {
  const mark = randomBytes(9).toString("hex");
  const calls = Object.entries({ ...settings, [MARK]: mark }).map(
    ([name, value]) => `set_config('${name}', '${value}', false)`,
  );
  await client.query(
    // transaction_timeout exists since PostgreSQL 17.
    `select ${calls.join(", ")};
     select set_config('transaction_timeout', '0', false) where current_setting('server_version_num')::int >= 170000`,
  );
  return mark;
}

/** Writes a new mark into the session, and returns it with the server process. */
export async function mark(client: pg.ClientBase): Promise<{ pid: number; mark: string }> {
  const value = randomBytes(9).toString("hex");
  const { rows } = await client.query<{ pid: number }>(
    `select pg_backend_pid() as pid, set_config('${MARK}', '${value}', false)`,
  );
  return { pid: rows[0]?.pid ?? 0, mark: value };
}
