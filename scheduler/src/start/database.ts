// The database of a scheduler: the embedded PostgreSQL when none is named, and the migrations.

import { statSync } from "node:fs";
import { join } from "node:path";
import {
  type EmbeddedPostgres,
  EmbeddedPostgresError,
  startEmbeddedPostgres,
} from "@muster/embedded-postgres";
import type { Config } from "../config/config.ts";
import { migrateDatabase } from "../store/postgres/postgres-store.ts";
import type { MigrationReport } from "../store/postgres/schema/migrate.ts";
import type { Logger } from "../telemetry/logs/logger.ts";
import { StartCancelledError } from "./when-usable.ts";

/** A database to migrate and to work with. */
export interface OpenDatabase {
  readonly url: string;
  /** Variables of libpq (`PGSSLMODE` and so on): those of the environment are meant for the operator's database. */
  readonly libpq: Env;
  /** Undefined for the operator's own database. */
  readonly embedded: EmbeddedPostgres | undefined;
}

type Env = Readonly<Record<string, string | undefined>>;

/** The database of the configuration; starts the embedded PostgreSQL when it names none. */
export async function openDatabase(
  config: Config,
  env: Env,
  { log, signal }: { log: Logger; signal: AbortSignal },
): Promise<OpenDatabase> {
  if (config.databaseUrl !== undefined) return { url: config.databaseUrl, libpq: env, embedded: undefined };
  log.info("database.embedded_starting", { data_dir: config.dataDir });
  const embedded = await startEmbeddedPostgres({
    dataDir: config.dataDir,
    log: (line) => log.debug("database.log", { line }),
    signal,
  });
  log.info("database.embedded_started", {
    data_dir: embedded.dataDir,
    port: embedded.port,
    version: embedded.version,
    postgres_pid: embedded.pid,
  });
  return { url: embedded.url, libpq: {}, embedded };
}

/** Migrates the database, and logs what it waits for and when the database turns out to be a copy. */
export async function migrate(
  { url, libpq, embedded }: OpenDatabase,
  { log, signal }: { log: Logger; signal: AbortSignal },
): Promise<MigrationReport> {
  const report = await migrateDatabase(url, {
    env: libpq,
    signal,
    ...(embedded ? { place: placeOf(embedded.dataDir) } : {}),
    onWait: ({ waitedMs, holderPid, application, role, since }) =>
      log.warn("database.migration_waits", {
        waited_ms: Math.round(waitedMs),
        holder_pid: holderPid,
        holder_application: application,
        holder_role: role,
        holder_since: since?.toISOString(),
        message:
          holderPid === undefined
            ? "another session holds the lock of the migrations; the start goes on when it releases the lock"
            : `process ${holderPid} (${application || "unnamed"}) holds the lock of the migrations; the start goes on when it releases the lock or is ended: select pg_terminate_backend(${holderPid})`,
      }),
  });
  if (report.idsBeyond !== undefined)
    log.warn("database.is_a_copy", {
      ids_beyond: report.idsBeyond,
      message:
        "this database was restored from a backup or copied: ids go on far beyond those of the old one",
    });
  return report;
}

/** Identity of a data folder: the file that PostgreSQL rewrites in place; a copy of the folder has another inode. */
function placeOf(dataDir: string): string {
  const { ino, birthtimeMs } = statSync(join(dataDir, "cluster", "global", "pg_control"));
  return `${ino}-${Math.round(birthtimeMs)}`;
}

/** True when the start ended because a stop was requested. */
export function isStop(error: unknown, signal: AbortSignal): boolean {
  if (error instanceof StartCancelledError) return true;
  if (error instanceof EmbeddedPostgresError && error.code === "ABORTED") return true;
  return signal.aborted && error instanceof Error && error.name === "AbortError";
}
