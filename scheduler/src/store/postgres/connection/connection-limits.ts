/** Reads the connection limits of the server. */
import type { ConnectionLimit } from "../../../domain/database/connection-limits.ts";
import { quoted } from "../schema/rights.ts";

/** The row of `CONNECTION_LIMITS`; null for a limit that does not apply. */
export interface LimitsRow {
  role: string;
  database: string;
  role_limit: number | null;
  database_limit: number | null;
  server_limit: number;
  role_used: number;
  database_used: number;
  server_used: number;
}

/** Reads the limits. Those of role and database do not apply to superusers. */
export const CONNECTION_LIMITS = {
  name: "connection-limits",
  text: `select r.rolname as role, current_database() as database,
    case when r.rolsuper or r.rolconnlimit < 0 then null else r.rolconnlimit end as role_limit,
    case when r.rolsuper or d.datconnlimit < 0 then null else d.datconnlimit end as database_limit,
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
      - coalesce(current_setting('reserved_connections', true)::int, 0) as server_limit,
    (select count(*)::int from pg_stat_activity a where a.usesysid = r.oid) as role_used,
    (select count(*)::int from pg_stat_activity a where a.datid = d.oid) as database_used,
    (select count(*)::int from pg_stat_activity a where a.datid is not null) as server_used
    from pg_roles r, pg_database d where r.rolname = session_user and d.datname = current_database()`,
};

/** The limits in the row of `CONNECTION_LIMITS`. */
export function limitsOf(found: LimitsRow | undefined): ConnectionLimit[] {
  if (found === undefined) return [];
  const role = quoted(found.role);
  const database = quoted(found.database);
  return [
    {
      of: `the role ${role}`,
      limit: found.role_limit,
      used: found.role_used,
      raise: `ALTER ROLE ${role} CONNECTION LIMIT`,
    },
    {
      of: `the database ${database}`,
      limit: found.database_limit,
      used: found.database_used,
      raise: `ALTER DATABASE ${database} CONNECTION LIMIT`,
    },
    {
      of: "the server",
      limit: found.server_limit,
      used: found.server_used,
      raise: "max_connections in postgresql.conf to",
    },
  ].flatMap((each) => (each.limit === null ? [] : [{ ...each, limit: each.limit }]));
}
