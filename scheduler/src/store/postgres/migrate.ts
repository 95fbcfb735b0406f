import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import type pg from "pg";
import type { ConnectionTarget } from "./connection.ts";
import { checkSessions } from "./database.ts";
import { translateError } from "./errors.ts";
import { openSession } from "./open-session.ts";
import { SharedSessionError } from "./pooler.ts";

/** A numbered step of the schema. */
export interface Migration {
  readonly number: number;
  readonly name: string;
  readonly sql: string;
  /** sha256 of the file, hexadecimal. */
  readonly checksum: string;
}

/** What `migrate` did. */
export interface MigrationReport {
  readonly applied: readonly string[];
  readonly version: number;
}

/**
 * The database and the program do not fit: a newer program has migrated it, or an applied migration
 * differs from this program's.
 */
export class SchemaMismatchError extends Error {
  override readonly name = "SchemaMismatchError";
}

/** Advisory lock that admits one migrator at a time: "muster" in ASCII. */
const LOCK_KEY = "120597207049586";
/** How its session calls itself: `muster migrate`. */
const OWNER = "muster";
const FOLDER = new URL("../../../migrations/", import.meta.url);
const FILE_NAME = /^(\d{4})_([a-z0-9_]+)\.sql$/;

/** The migrations that this program brings, in order. */
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
 * @throws DatabaseUnavailableError when the database cannot be reached.
 */
export async function migrate(
  target: ConnectionTarget,
  migrations: readonly Migration[],
): Promise<MigrationReport> {
  let client: pg.Client | undefined;
  try {
    // A lock that a pooler gives to another session would admit everybody.
    await checkSessions(target, OWNER);
    client = await openSession(target, OWNER, "migrate", { bounded: false });
    await client.query("select pg_advisory_lock($1)", [LOCK_KEY]);
    await requireSupportedServer(client);
    await client.query("create schema if not exists muster");
    await client.query("set search_path = muster");
    await client.query(
      "create table if not exists migration (number int primary key, name text not null, checksum text not null, apply_time timestamptz not null default now())",
    );
    const applied = await client.query<{ number: number; name: string; checksum: string }>(
      "select number, name, checksum from migration order by number",
    );
    const pending = pendingMigrations(migrations, applied.rows);
    for (const migration of pending) await apply(client, migration);
    return {
      applied: pending.map(migrationName),
      version: migrations.at(-1)?.number ?? 0,
    };
  } catch (error) {
    const isOurs = error instanceof SchemaMismatchError || error instanceof SharedSessionError;
    throw isOurs ? error : translateError(error, client !== undefined);
  } finally {
    // Ends the session and with it the lock.
    await client?.end();
  }
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
