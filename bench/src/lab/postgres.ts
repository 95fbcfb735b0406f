import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startEmbeddedPostgres } from "@muster/scheduler";
import pg from "pg";
import type { Cleanup } from "./cleanup.ts";

/** The PostgreSQL server that all systems of a run share, each with a database of its own. */
export class PostgresServer {
  readonly url: string;
  readonly version: string;
  /** Process id of the postmaster; undefined when the server is not ours. */
  readonly pid: number | undefined;
  /** Settings that decide durability and speed, as the server says them. */
  readonly settings: Readonly<Record<string, string>>;
  readonly #cleanup: Cleanup;
  #serial = 0;

  private constructor(
    cleanup: Cleanup,
    facts: { url: string; version: string; pid: number | undefined; settings: Record<string, string> },
  ) {
    this.#cleanup = cleanup;
    this.url = facts.url;
    this.version = facts.version;
    this.pid = facts.pid;
    this.settings = facts.settings;
  }

  /** Uses the server at `url`, or starts an embedded one with its production settings in a temporary folder. */
  static async start(cleanup: Cleanup, url: string | undefined): Promise<PostgresServer> {
    const embedded = url === undefined ? await startOwn(cleanup) : undefined;
    const serverUrl = url ?? embedded?.url ?? "";
    const settings = await readSettings(serverUrl);
    return new PostgresServer(cleanup, {
      url: serverUrl,
      version: settings.server_version ?? "unknown",
      pid: embedded?.pid,
      settings,
    });
  }

  /** Makes an empty database. */
  async createDatabase(prefix: string): Promise<BenchDatabase> {
    const name = `bench_${prefix.replaceAll(/[^a-z0-9]/g, "_")}_${process.pid}_${++this.#serial}`;
    await execute(this.url, `create database ${name}`);
    const url = withDatabase(this.url, name);
    const client = new pg.Client({ connectionString: url, application_name: "bench observer" });
    client.on("error", () => undefined);
    await client.connect();
    const drop = this.#cleanup.add(`database ${name}`, async () => {
      await client.end();
      await execute(this.url, `drop database ${name} with (force)`);
    });
    return { url, query: async (text, values = []) => (await client.query(text, values)).rows, drop };
  }

  /** Writes out what earlier work left dirty, so that it is not charged to the next. */
  checkpoint(): Promise<void> {
    return execute(this.url, "checkpoint");
  }
}

/** A database of one system in one run. */
export interface BenchDatabase {
  readonly url: string;
  query(text: string, values?: unknown[]): Promise<Record<string, unknown>[]>;
  /** Drops it with everyone connected to it. */
  drop(): Promise<void>;
}

/** Brings statistics, visibility map and dirty pages to rest: what autovacuum does for a system that has run a while. */
export async function settleDatabase(server: PostgresServer, database: BenchDatabase): Promise<void> {
  await database.query("vacuum analyze");
  await server.checkpoint();
}

async function startOwn(cleanup: Cleanup) {
  const parent = await mkdtemp(join(tmpdir(), "muster-bench-"));
  // PostgreSQL runs as an account of its own when the bench runs as root.
  await chmod(parent, 0o711);
  cleanup.add(parent, () => rm(parent, { recursive: true, force: true }));
  const postgres = await startEmbeddedPostgres({
    dataDir: join(parent, "data"),
    log: () => undefined,
    stateRoot: join(parent, "state"),
  });
  cleanup.add("PostgreSQL", () => postgres.stop());
  return postgres;
}

const SETTINGS = [
  "server_version",
  "fsync",
  "synchronous_commit",
  "full_page_writes",
  "shared_buffers",
  "max_wal_size",
  "autovacuum",
];

async function readSettings(url: string): Promise<Record<string, string>> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<{ name: string; value: string }>(
      "select name, current_setting(name) as value from unnest($1::text[]) as name",
      [SETTINGS],
    );
    return Object.fromEntries(rows.map(({ name, value }) => [name, value]));
  } finally {
    await client.end();
  }
}

async function execute(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

function withDatabase(url: string, name: string): string {
  const parsed = new URL(url);
  parsed.pathname = `/${name}`;
  return parsed.href;
}
