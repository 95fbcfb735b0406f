/** Applies the migrations. */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import pg from "pg";
import type { ConnectionTarget } from "../connection/connection.ts";
import { translateError } from "../connection/errors.ts";
import { openSession } from "../connection/open-session.ts";
import { checkSessions, SharedSessionError } from "../connection/pooler.ts";
import { beginIncarnation } from "./incarnation.ts";
import { lockMigrations, type MigrationWait } from "./migration-lock.ts";
import { MissingRightsError, missingRights, quoted } from "./rights.ts";

/** A numbered step of the schema. */
export interface Migration {
  readonly number: number;
  readonly name: string;
  readonly sql: string;
  /** sha256 of the file, hexadecimal. */
  readonly checksum: string;
}

/** The result of `migrate`. */
export interface MigrationReport {
  readonly applied: readonly string[];
  readonly version: number;
  /** The number that all new ids exceed; undefined unless the database is a copy of another. */
  readonly idsBeyond: number | undefined;
}

/** Options of a migration. */
export interface MigrationOptions {
  /** Ends it; the database rolls back the migration under way. */
  readonly signal?: AbortSignal;
  /** Called while another session holds the lock, at growing intervals. */
  readonly onWait?: (wait: MigrationWait) => void;
  /** Identifies the files of an embedded database; a copy of them has another value. */
  readonly place?: string;
}

/**
 * The database and the program do not fit: a newer program has migrated it, or an applied migration
 * differs from this program's.
 */
export class SchemaMismatchError extends Error {
  override readonly name = "SchemaMismatchError";
}

/** `application_name` of its session. */
const OWNER = "muster";
const FOLDER = new URL("../../../../migrations/", import.meta.url);
const FILE_NAME = /^(\d{4})_([a-z0-9_]+)\.sql$/;

// The catalog may be read without a right on the schema.
const SCHEMA = `select current_user as role, current_database() as database, n.oid is not null as schema,
    exists (select from pg_class c where c.relnamespace = n.oid and c.relname = 'migration') as table,
    has_database_privilege(current_database(), 'CREATE') as may_create_schema,
    has_schema_privilege(n.oid, 'USAGE') and has_schema_privilege(n.oid, 'CREATE') as may_create_tables
    from (select) one left join pg_namespace n on n.nspname = 'muster'`;
const TABLE_OWNER = `select current_user as role, pg_get_userbyid(relowner) as owner,
    pg_has_role(relowner, 'MEMBER') as may_become
    from pg_class where oid = 'muster.migration'::regclass`;

/** The migrations of this program, in order. */
export async function loadMigrations(folder: URL = FOLDER): Promise<Migration[]> {
  const files = (await readdir(folder)).filter((file) => FILE_NAME.test(file)).sort();
  return Promise.all(
    files.map(async (file) => {
      const sql = await readFile(new URL(file, folder), "utf8");
      const [, number = "", name = ""] = FILE_NAME.exec(file) ?? [];
      return { number: Number(number), name, sql, checksum: createHash("sha256").update(sql).digest("hex") };
    }),
  );
}

/**
 * Brings the database to this program's schema, each migration in a transaction of its own, one migrator
 * at a time.
 *
 * @throws SchemaMismatchError when the database is newer or an applied migration differs.
 * @throws MissingRightsError when the role lacks rights for the migrations, or for a scheduler.
 * @throws SharedSessionError when a pooler shares sessions.
 * @throws DatabaseUnavailableError when the database cannot be reached.
 */
export async function migrate(
  target: ConnectionTarget,
  migrations: readonly Migration[],
  { signal, onWait = () => undefined, place }: MigrationOptions = {},
): Promise<MigrationReport> {
  let client: pg.Client | undefined;
  const giveUp = () => void client?.end();
  signal?.addEventListener("abort", giveUp, { once: true });
  try {
    // Through a pooler, the lock could belong to another session and would exclude no other migrator.
    await checkSessions(target, OWNER, signal);
    client = await openSession(target, OWNER, "migrate", { bounded: false, ...(signal ? { signal } : {}) });
    await lockMigrations(client, onWait, signal);
    await requireSupportedServer(client);
    await prepareSchema(client);
    const applied = await client.query<{ number: number; name: string; checksum: string }>(
      "select number, name, checksum from muster.migration order by number",
    );
    const pending = pendingMigrations(migrations, applied.rows);
    if (pending.length > 0) await becomeOwner(client, pending);
    for (const migration of pending) await apply(client, migration);
    return {
      applied: pending.map(migrationName),
      version: migrations.at(-1)?.number ?? 0,
      idsBeyond: await beginIncarnation(client, place),
    };
  } catch (error) {
    signal?.throwIfAborted();
    const isOurs =
      error instanceof SchemaMismatchError ||
      error instanceof SharedSessionError ||
      error instanceof MissingRightsError;
    throw isOurs ? error : translateError(error, client !== undefined);
  } finally {
    signal?.removeEventListener("abort", giveUp);
    // Ends the session and with it the lock.
    await client?.end();
  }
}

/** Creates the schema when it is missing, and checks that the role may use it. */
async function prepareSchema(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{
    role: string;
    database: string;
    schema: boolean;
    table: boolean;
    may_create_schema: boolean;
    may_create_tables: boolean | null;
  }>(SCHEMA);
  const [state] = rows;
  if (!state) throw new Error("the database said nothing of its schemas");
  const { role, database } = { role: quoted(state.role), database: quoted(state.database) };
  if (!state.schema && !state.may_create_schema)
    throw new MissingRightsError(
      `the role ${role} may not make the schema muster in the database ${database}: run as the database's owner or a superuser: CREATE SCHEMA muster AUTHORIZATION ${role}; or: GRANT CREATE ON DATABASE ${database} TO ${role}`,
    );
  if (!state.schema) await client.query("create schema muster");
  else if (!state.table && !state.may_create_tables)
    throw new MissingRightsError(
      `the role ${role} may not make tables in the schema muster of the database ${database}: run as the schema's owner or a superuser: GRANT USAGE, CREATE ON SCHEMA muster TO ${role}`,
    );
  if (!state.table)
    await client.query(
      "create table muster.migration (number int primary key, name text not null, checksum text not null, apply_time timestamptz not null default now())",
    );
  const missing = await missingRights(client);
  if (missing !== undefined) throw new MissingRightsError(missing);
}

/** New tables belong to the owner of the others, also when a superuser migrates. */
async function becomeOwner(client: pg.Client, pending: readonly Migration[]): Promise<void> {
  const { rows } = await client.query<{ role: string; owner: string; may_become: boolean }>(TABLE_OWNER);
  const [state] = rows;
  if (!state || state.role === state.owner) return;
  if (!state.may_become)
    throw new MissingRightsError(
      `the database lacks ${pending.map(migrationName).join(", ")}, and the role ${quoted(state.role)} may not change tables that belong to ${quoted(state.owner)}: run \`muster migrate\` with a DATABASE_URL of the role ${quoted(state.owner)}, then start the scheduler again`,
    );
  await client.query(`set role ${pg.escapeIdentifier(state.owner)}`);
}

/** A migration's file name without its ending. */
export function migrationName({ number, name }: { readonly number: number; readonly name: string }): string {
  return `${String(number).padStart(4, "0")}_${name}`;
}

/** The migrations still to apply. Pure. */
export function pendingMigrations(
  known: readonly Migration[],
  applied: readonly { number: number; name: string; checksum: string }[],
): Migration[] {
  for (const row of applied) {
    const mine = known.find((migration) => migration.number === row.number);
    if (!mine) {
      throw new SchemaMismatchError(
        `the database has migration ${row.number} (${row.name}), which this program does not know (its newest is ${known.at(-1)?.number ?? 0}): a newer Muster has migrated it. Run that version or a newer one`,
      );
    }
    if (mine.checksum !== row.checksum) {
      throw new SchemaMismatchError(
        `migration ${row.number} (${row.name}) was applied with checksum ${row.checksum}, but this program's has ${mine.checksum}: the file was changed after it was applied. Run the program that applied it, or restore the file`,
      );
    }
  }
  const done = new Set(applied.map((row) => row.number));
  return known.filter((migration) => !done.has(migration.number));
}

async function apply(client: pg.Client, migration: Migration): Promise<void> {
  await client.query("begin");
  try {
    await client.query("set local search_path = muster");
    await client.query(migration.sql);
    await client.query("insert into migration (number, name, checksum) values ($1, $2, $3)", [
      migration.number,
      migration.name,
      migration.checksum,
    ]);
    await client.query("commit");
  } catch (error) {
    await client.query("rollback");
    throw error;
  }
}

async function requireSupportedServer(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ version: number; text: string }>(
    "select current_setting('server_version_num')::int as version, current_setting('server_version') as text",
  );
  const server = rows[0];
  if (server && server.version < 140_000) {
    throw new SchemaMismatchError(
      `PostgreSQL ${server.text} is too old: Muster needs 14 or newer. Upgrade the server or name another in DATABASE_URL`,
    );
  }
}
