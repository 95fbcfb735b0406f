import type pg from "pg";
import { quoted } from "./rights.ts";

/** Fewer make submits, results or reads fail: three pipelines, a listener, and four for everything else. */
const NEEDED = 8;

// Superusers are free of the limits of role and database.
const LIMITS = `select r.rolname as role, current_database() as database,
    case when r.rolsuper or r.rolconnlimit < 0 then null else r.rolconnlimit end as role_limit,
    case when r.rolsuper or d.datconnlimit < 0 then null else d.datconnlimit end as database_limit,
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
      - coalesce(current_setting('reserved_connections', true)::int, 0) as server_limit,
    (select count(*)::int from pg_stat_activity a where a.usesysid = r.oid) as role_used,
    (select count(*)::int from pg_stat_activity a where a.datid = d.oid) as database_used,
    (select count(*)::int from pg_stat_activity a where a.datid is not null) as server_used
    from pg_roles r, pg_database d where r.rolname = session_user and d.datname = current_database()`;

/**
 * Which limit leaves too few connections, as a sentence that says how to raise it; undefined when none does.
 *
 * @param own Connections that are open already.
 */
export async function connectionShortage(client: pg.ClientBase, own: number): Promise<string | undefined> {
  const { rows } = await client.query<{
    role: string;
    database: string;
    role_limit: number | null;
    database_limit: number | null;
    server_limit: number;
    role_used: number;
    database_used: number;
    server_used: number;
  }>(LIMITS);
  const [row] = rows;
  if (!row) return undefined;
  const role = quoted(row.role);
  const database = quoted(row.database);
  const wanted = Math.max(0, NEEDED - own);
  const found = [
    {
      limit: row.role_limit,
      used: row.role_used,
      of: `the role ${role}`,
      raise: `ALTER ROLE ${role} CONNECTION LIMIT`,
    },
    {
      limit: row.database_limit,
      used: row.database_used,
      of: `the database ${database}`,
      raise: `ALTER DATABASE ${database} CONNECTION LIMIT`,
    },
    {
      limit: row.server_limit,
      used: row.server_used,
      of: "the server",
      raise: "max_connections in postgresql.conf to",
    },
  ].find(({ limit, used }) => limit !== null && limit - used < wanted);
  return (
    found &&
    `the connection limit of ${found.of} is ${found.limit}, ${found.used} of them are open, and a scheduler needs at least ${NEEDED} (up to 28): raise it (${found.raise} ${Math.max(28, found.used + 28 - own)}), or end sessions that are not needed`
  );
}
