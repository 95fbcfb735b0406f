/** Checks the privileges of the role. */
import type pg from "pg";

/** The tables that a scheduler reads and writes; partitions are accessed through their parents. */
export const TABLES = [
  ...["queue", "task_class", "scheduler", "leader", "worker_session", "session_lease", "command", "task"],
  ...[
    "task_finished",
    "task_attempt",
    "task_key",
    "event",
    "task_output",
    "task_log",
    "launch",
    "worker_refusal",
  ],
  ...["worker_pause", "concurrency_key", "class_key", "rate_key", "rate_bucket", "class_rate"],
  ...[
    "circuit",
    "circuit_share",
    "task_dependency",
    "task_wait",
    "dependency_end",
    "batch",
    "schedule",
    "fairness_weight",
  ],
  ...["completion_count", "task_checkpoint", "attempt_metric", "metric_total", "pool", "pool_launch"],
  ...["pool_template", "history"],
];

/** When rights on more tables are missing, one command grants them on all. */
const NAMED_TABLES = 2;

const LACKING = `
  select format('GRANT USAGE ON SCHEMA muster TO %I', current_user) as command, 0 as tables
   where not has_schema_privilege('muster', 'USAGE')
  union all
  select format('GRANT %s ON muster.%I TO %I', string_agg(p.name, ', ' order by p.n), c.relname, current_user), 1
    from pg_class c
    cross join unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE']) with ordinality as p(name, n)
   where c.relnamespace = 'muster'::regnamespace and c.relname = any($1)
     and not has_table_privilege(c.oid, p.name)
   group by c.relname
  union all
  select format('GRANT SELECT ON muster.migration TO %I', current_user), 1
    from pg_class c
   where c.relnamespace = 'muster'::regnamespace and c.relname = 'migration'
     and not has_table_privilege(c.oid, 'SELECT')
  union all
  select format('GRANT USAGE ON SEQUENCE muster.%I TO %I', c.relname, current_user), 0
    from pg_class c
   where c.relnamespace = 'muster'::regnamespace and c.relname = 'worker_session_id_seq'
     and not has_sequence_privilege(c.oid, 'USAGE')
  union all
  select format('GRANT EXECUTE ON FUNCTION muster.%I(%s) TO %I', f.proname, pg_get_function_identity_arguments(f.oid), current_user), 0
    from pg_proc f
   where f.pronamespace = 'muster'::regnamespace
     and f.proname in ('ensure_partitions', 'drop_partitions', 'begin_incarnation', 'order_fronts')
     and not has_function_privilege(f.oid, 'EXECUTE')`;

const OWNER = `select current_user as role, pg_get_userbyid(nspowner) as owner from pg_namespace where nspname = 'muster'`;

/** The role lacks a right that a scheduler needs. */
export class MissingRightsError extends Error {
  override readonly name = "MissingRightsError";
}

/** The rights that the role lacks in the schema, as a sentence with the commands that grant them; undefined for none. */
export async function missingRights(client: pg.ClientBase): Promise<string | undefined> {
  const { rows } = await client.query<{ command: string; tables: number }>(LACKING, [TABLES]);
  if (rows.length === 0) return undefined;
  const { rows: names } = await client.query<{ role: string; owner: string }>(OWNER);
  const { role = "", owner = "" } = names[0] ?? {};
  const onTables = rows.filter(({ tables }) => tables === 1).map(({ command }) => command);
  const others = rows.filter(({ tables }) => tables === 0).map(({ command }) => command);
  const commands =
    onTables.length > NAMED_TABLES
      ? [...others, `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA muster TO ${quoted(role)}`]
      : [...others, ...onTables];
  return `the role ${quoted(role)} lacks rights in the schema muster: run as ${quoted(owner)}, which owns it, or as a superuser: ${commands.join("; ")}`;
}

/** A name, quoted for SQL. */
export function quoted(name: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`;
}
