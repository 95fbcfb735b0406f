/** Detects a database that was restored or replaced. */
import type pg from "pg";

/** Functions that some servers allow only to some roles. */
const MAY_ASK = `select has_function_privilege('pg_control_system()', 'EXECUTE') as system,
    has_function_privilege('pg_control_checkpoint()', 'EXECUTE') as timeline`;

/**
 * Begins a new incarnation when this database is a copy of an earlier one, so that ids do not repeat.
 *
 * @param place Identifies the files of an embedded database; a copy of them has another value.
 * @returns The number that all new ids exceed; undefined when it is the same database as before.
 */
export async function beginIncarnation(
  client: pg.ClientBase,
  place: string | undefined,
): Promise<number | undefined> {
  const { rows: may } = await client.query<{ system: boolean; timeline: boolean }>(MAY_ASK);
  const parts = [
    ...(may[0]?.system ? ["(select system_identifier::text from pg_control_system())"] : []),
    ...(may[0]?.timeline ? ["(select timeline_id::text from pg_control_checkpoint())"] : []),
    "(select oid::text from pg_database where datname = current_database())",
  ];
  // The cluster, its timeline (a recovery to an earlier time begins another), and the database within it.
  const { rows } = await client.query<{ identity: string }>(`select concat_ws('/', ${parts}) as identity`);
  const identity = [rows[0]?.identity ?? "", ...(place === undefined ? [] : [place])].join("/");
  const begun = await client.query<{ beyond: string | null }>("select begin_incarnation($1) as beyond", [
    identity,
  ]);
  const beyond = begun.rows[0]?.beyond;
  return beyond === null || beyond === undefined ? undefined : Number(beyond);
}
