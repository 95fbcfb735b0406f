import pg from "pg";

/** A session of another application that holds a lock in the database. */
export interface Locker {
  readonly pid: number;
  /** Asks from within, where its own lock is not in the way. */
  rows(query: string): Promise<readonly unknown[]>;
  /** Commits what it did, and ends. */
  commit(): Promise<void>;
  /** Lets go of it. */
  release(): Promise<void>;
}

/** How a locker calls itself. */
export const LOCKER = "the locker";

/** Does something in a transaction that stays open: `lock table ...`, an update, a long read. */
export async function openTransaction(url: string, statement: string): Promise<Locker> {
  const client = new pg.Client({ connectionString: url, application_name: LOCKER });
  await client.connect();
  await client.query("set search_path = muster");
  await client.query("begin");
  await client.query(statement);
  const { rows } = await client.query<{ pid: number }>("select pg_backend_pid() as pid");
  const pid = rows[0]?.pid ?? 0;
  return {
    pid,
    rows: async (query) => (await client.query(query)).rows,
    async commit() {
      await client.query("commit");
      await client.end();
    },
    async release() {
      await client.query("rollback");
      await client.end();
    },
  };
}

/** Holds a table against everybody. */
export function lockTable(url: string, table: string): Promise<Locker> {
  return openTransaction(url, `lock table ${table} in access exclusive mode`);
}
