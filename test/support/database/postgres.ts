import { randomBytes } from "node:crypto";
import { env } from "node:process";
import pg from "pg";
import { cleanedUp, cleanUpLater } from "../clean-up.ts";

/** A database of a test's own on the suite's server. */
export interface TestDatabase {
  readonly url: string;
  /** Runs a statement on it, outside Muster. */
  query<R extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<R[]>;
  /** Drops the database, and the server when it was started for this test alone. */
  drop(): Promise<void>;
}

/** Name of the suite's database with the schema, on `TEST_DATABASE_URL`. */
export const TEMPLATE_VARIABLE = "TEST_TEMPLATE_DATABASE";

/**
 * Makes an empty database on `TEST_DATABASE_URL`, or on a server started for it. The schema is applied
 * unless `migrated` is false.
 */
export async function createDatabase({ migrated = true } = {}): Promise<TestDatabase> {
  const shared = env.TEST_DATABASE_URL;
  // Loaded where they are needed: with them each test file would load all of the scheduler.
  const server = shared === undefined ? await (await import("./server.ts")).startServer() : undefined;
  const admin = shared ?? server?.url ?? "";
  const template = migrated ? env[TEMPLATE_VARIABLE] : undefined;
  const name = await createNamed(admin, "test", template);
  const url = withDatabase(admin, name);
  if (migrated && !template) await (await import("@muster/scheduler")).migrateDatabase(url);
  const open = openTestDatabase(url);
  const database: TestDatabase = {
    url,
    query: open.query,
    drop: async () => {
      cleanedUp(database);
      await open.close();
      if (server) await server.remove();
      else await dropDatabase(admin, name);
    },
  };
  cleanUpLater(database, database.drop);
  return database;
}

/** Makes a database, empty or as a copy of another, and returns its name. */
export async function createNamed(admin: string, prefix: string, template?: string): Promise<string> {
  const name = `${prefix}_${randomBytes(6).toString("hex")}`;
  await once(admin, `create database ${name}${template ? ` template ${template}` : ""}`);
  return name;
}

export function dropDatabase(admin: string, name: string): Promise<void> {
  return once(admin, `drop database ${name} with (force)`);
}

/** A role of a test's own, that may use a database of a test's own. */
export interface TestRole {
  readonly name: string;
  readonly password: string;
  /** The database's URL as this role. */
  readonly url: string;
  /** Runs a statement as this role. */
  query<R extends pg.QueryResultRow>(text: string): Promise<R[]>;
  /** Ends its sessions, and drops it with all that it owns in the database. */
  drop(): Promise<void>;
}

/** Makes a role that may log in and is no superuser. */
export async function createRole(db: TestDatabase): Promise<TestRole> {
  const name = `role_${randomBytes(6).toString("hex")}`;
  const password = randomBytes(9).toString("hex");
  await db.query(`create role ${name} login password '${password}'`);
  const url = new URL(db.url);
  url.username = name;
  url.password = password;
  return {
    name,
    password,
    url: url.href,
    query: (text) => rows(url.href, text),
    drop: async () => {
      await db.query(`select pg_terminate_backend(pid) from pg_stat_activity where usename = '${name}'`);
      await db.query(`drop owned by ${name} cascade`);
      await db.query(`drop role ${name}`);
    },
  };
}

/** Looks into a database that is there already. */
export function openTestDatabase(url: string): Pick<TestDatabase, "query"> & { close(): Promise<void> } {
  const pool = new pg.Pool({ connectionString: url, max: 2, options: "-c search_path=muster,public" });
  // The tests cut connections on purpose; the statement under way reports it.
  pool.on("error", () => undefined);
  return {
    query: async <R extends pg.QueryResultRow>(text: string, values: unknown[] = []) =>
      (await pool.query<R>(text, values)).rows,
    close: () => pool.end(),
  };
}

async function once(url: string, statement: string): Promise<void> {
  await rows(url, statement);
}

async function rows<R extends pg.QueryResultRow>(url: string, statement: string): Promise<R[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<R>(statement)).rows;
  } finally {
    await client.end();
  }
}

export function withDatabase(url: string, name: string): string {
  const parsed = new URL(url);
  parsed.pathname = `/${name}`;
  return parsed.href;
}
