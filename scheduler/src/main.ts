import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { holdProcess, systemClock } from "./clock.ts";
import { type Config, ConfigError, loadConfig, type Surroundings } from "./config/config.ts";
import { describeSettings } from "./config/settings.ts";
import { Refusal } from "./domain/errors.ts";
import { type Scheduler, shown, startScheduler } from "./scheduler.ts";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "./store/postgres/embedded/embedded.ts";
import { EmbeddedPostgresError } from "./store/postgres/embedded/errors.ts";
import { migrateDatabase } from "./store/postgres/postgres-store.ts";
import type { MigrationReport } from "./store/postgres/schema/migrate.ts";
import { type Logger, type OpenLog, openLogger } from "./telemetry/logs/logger.ts";
import { VERSION } from "./version.ts";
import { StartCancelledError, whenUsable } from "./when-usable.ts";

/** How long what is open when everything has ended holds the process, milliseconds. */
const LINGER_MS = 200;

type Env = Readonly<Record<string, string | undefined>>;

/** Exit codes of the scheduler, as the CLI documents them. */
const EXIT_OK = 0;
const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
/** A fault of the program itself: `EX_SOFTWARE` of sysexits.h. */
const EXIT_FAULT = 70;

/**
 * Runs a scheduler until SIGTERM or SIGINT, with the embedded PostgreSQL unless a database is named.
 * A second signal exits at once.
 *
 * @returns The exit code: 0 after an orderly stop, 1 when it failed, 2 when the configuration is wrong. A fault of the
 * program itself that no call is to blame for ends the process with 70, after a line that names it.
 */
export async function runScheduler(argv: readonly string[], env: Env): Promise<number> {
  return withConfig(argv, env, "muster serve", async (config, { log, print }) => {
    const stop = onSignals(log);
    let postgres: EmbeddedPostgres | undefined;
    let scheduler: Scheduler | undefined;
    // A hangup never ends a scheduler: it reads its certificates again.
    const onHangup = () => {
      log.info("scheduler.signal", { signal: "SIGHUP" });
      void scheduler?.reload();
    };
    process.on("SIGHUP", onHangup);
    const stopGuarding = guardProcess(log, (error) => scheduler?.takeFault(error) ?? false);
    try {
      postgres = config.databaseUrl === undefined ? await startEmbedded(config, log, stop.signal) : undefined;
      const url = config.databaseUrl ?? postgres?.url ?? "";
      const libpq = forDatabase(config, env);
      const waiting = { clock: systemClock, log, signal: stop.signal };
      const { applied, version } = await whenUsable(
        () => bringUp(url, { libpq, log, signal: stop.signal, postgres }),
        waiting,
      );
      if (applied.length > 0) log.info("database.migrated", { applied, version });
      scheduler = await startScheduler({
        config,
        databaseUrl: url,
        env: libpq,
        log,
        signal: stop.signal,
      });
      if (config.logPretty) print(where(scheduler, config));
      const died = postgres?.exited.then((exit) => exit) ?? new Promise<never>(() => undefined);
      const exit = await Promise.race([stop.asked, died]);
      if (exit !== undefined && !stop.signal.aborted) {
        log.error("database.ended", { ...exit, message: "the embedded PostgreSQL ended by itself" });
        return EXIT_FAILED;
      }
      return EXIT_OK;
    } catch (error) {
      if (!isStop(error, stop.signal)) throw error;
      log.info("scheduler.start_cancelled", {});
      return EXIT_OK;
    } finally {
      await scheduler?.stop();
      await postgres?.stop();
      stop.dispose();
      process.off("SIGHUP", onHangup);
      stopGuarding();
    }
  });
}

/**
 * What nothing caught ends the process, whose state nobody knows then, but says why; what a call is to blame for ends
 * that call alone.
 *
 * @param takeFault False when no call is to blame.
 * @returns Undoes it.
 */
function guardProcess(log: Logger, takeFault: (error: unknown) => boolean): () => void {
  const onFault = (error: unknown) => {
    if (takeFault(error)) return;
    log.error("scheduler.crashed", { error, exit_code: EXIT_FAULT });
    process.exit(EXIT_FAULT);
  };
  const events = ["uncaughtException", "unhandledRejection"] as const;
  for (const event of events) process.on(event, onFault);
  return () => {
    for (const event of events) process.off(event, onFault);
  };
}

/**
 * Brings a database to this program's schema and ends.
 *
 * @returns The exit code, as for `runScheduler`.
 */
export async function runMigrate(argv: readonly string[], env: Env): Promise<number> {
  return withConfig(argv, env, "muster migrate", async (config, { log }) => {
    const stop = onSignals(log);
    let postgres: EmbeddedPostgres | undefined;
    try {
      postgres = config.databaseUrl === undefined ? await startEmbedded(config, log, stop.signal) : undefined;
      const { applied, version } = await bringUp(config.databaseUrl ?? postgres?.url ?? "", {
        libpq: forDatabase(config, env),
        log,
        signal: stop.signal,
        postgres,
      });
      log.info("database.migrated", { applied, version });
      return EXIT_OK;
    } catch (error) {
      if (!isStop(error, stop.signal)) throw error;
      return EXIT_OK;
    } finally {
      await postgres?.stop();
      stop.dispose();
    }
  });
}

/** Migrates, and says whom it waits for and when the database turns out to be a copy. */
async function bringUp(
  url: string,
  {
    libpq,
    log,
    signal,
    postgres,
  }: {
    libpq: Env;
    log: Logger;
    signal: AbortSignal;
    postgres: EmbeddedPostgres | undefined;
  },
): Promise<MigrationReport> {
  const report = await migrateDatabase(url, {
    env: libpq,
    signal,
    ...(postgres ? { place: placeOf(postgres.dataDir) } : {}),
    onWait: ({ waitedMs, holderPid, application, role, since }) =>
      log.warn("database.migration_waits", {
        waited_ms: Math.round(waitedMs),
        holder_pid: holderPid,
        holder_application: application,
        holder_role: role,
        holder_since: since?.toISOString(),
        message:
          holderPid === undefined
            ? "another session holds the lock of the migrations; the start goes on when it lets go"
            : `process ${holderPid} (${application || "unnamed"}) holds the lock of the migrations; the start goes on when it lets go, or is ended: select pg_terminate_backend(${holderPid})`,
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

/** The file that PostgreSQL rewrites in its place for as long as the data folder lives; a copy of the folder has another. */
function placeOf(dataDir: string): string {
  const { ino, birthtimeMs } = statSync(join(dataDir, "cluster", "global", "pg_control"));
  return `${ino}-${Math.round(birthtimeMs)}`;
}

/** True when the start ended because a stop was asked for. */
function isStop(error: unknown, signal: AbortSignal): boolean {
  if (error instanceof StartCancelledError) return true;
  if (error instanceof EmbeddedPostgresError && error.code === "ABORTED") return true;
  return signal.aborted && error instanceof Error && error.name === "AbortError";
}

/** The variables of libpq (`PGSSLMODE` and so on) are meant for a database of the operator's. */
function forDatabase(config: Config, env: Env): Env {
  return config.databaseUrl === undefined ? {} : env;
}

async function withConfig(
  argv: readonly string[],
  env: Env,
  name: string,
  run: (config: Config, opened: OpenLog) => Promise<number>,
): Promise<number> {
  if (argv.includes("--help") || argv.includes("-h")) {
    process.stdout.write(
      `${name} (Muster ${VERSION})\n\nSettings (flag, else variable, else default):\n${describeSettings()}\n`,
    );
    return EXIT_OK;
  }
  let config: Config;
  try {
    config = loadConfig(argv, env, surroundings());
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    for (const fault of error.faults) process.stderr.write(`error: ${fault}\n`);
    process.stderr.write(`see ${name} --help\n`);
    return EXIT_USAGE;
  }
  const opened = await openLog(config);
  if (typeof opened === "string") {
    process.stderr.write(`error: ${opened}\n`);
    return EXIT_FAILED;
  }
  const { log, close } = opened;
  const letGo = holdProcess();
  try {
    return await run(config, opened);
  } catch (error) {
    log.error("scheduler.failed", { error });
    const hint = error instanceof Refusal ? ` (${error.reason})` : "";
    process.stderr.write(`error: ${error instanceof Error ? error.message : String(error)}${hint}\n`);
    return EXIT_FAILED;
  } finally {
    letGo();
    close();
    // A connection that a frozen server does not close would hold the process. The exit code stands by then.
    systemClock.after(LINGER_MS, () => process.exit());
  }
}

/** The log, or why it cannot be opened. */
async function openLog(config: Config): Promise<OpenLog | string> {
  try {
    return await openLogger({
      level: config.logLevel,
      pretty: config.logPretty,
      file: config.logFile,
      maxFileMb: config.logFileMaxMb,
      keepFiles: config.logFileKeep,
    });
  } catch (error) {
    return `the log file ${config.logFile} cannot be written: ${error instanceof Error ? error.message : String(error)}; name another with --log-file, or none`;
  }
}

async function startEmbedded(config: Config, log: Logger, signal: AbortSignal): Promise<EmbeddedPostgres> {
  log.info("database.embedded_starting", { data_dir: config.dataDir });
  const postgres = await startEmbeddedPostgres({
    dataDir: config.dataDir,
    log: (line) => log.debug("database.log", { line }),
    signal,
  });
  log.info("database.embedded_started", {
    data_dir: postgres.dataDir,
    port: postgres.port,
    version: postgres.version,
    postgres_pid: postgres.pid,
  });
  return postgres;
}

/** The first SIGTERM or SIGINT asks for an orderly stop; the second ends the process. */
function onSignals(log: Logger) {
  const controller = new AbortController();
  let resolve: () => void = () => undefined;
  const asked = new Promise<undefined>((done) => {
    resolve = () => done(undefined);
  });
  const handler = (name: NodeJS.Signals) => {
    if (controller.signal.aborted) {
      log.warn("scheduler.forced_exit", { signal: name });
      process.exit(name === "SIGINT" ? 130 : 143);
    }
    log.info("scheduler.signal", { signal: name });
    controller.abort();
    resolve();
  };
  const names = ["SIGTERM", "SIGINT"] as const;
  for (const name of names) process.on(name, handler);
  return {
    signal: controller.signal,
    asked,
    dispose: () => {
      for (const name of names) process.off(name, handler);
    },
  };
}

function where(scheduler: Scheduler, config: Config): string {
  const scheme = config.tls ? "https" : "http";
  return `\n  Muster ${VERSION} is ready\n    workers, gRPC clients  ${shown(scheduler.grpcAddress)}\n    curl, probes           ${scheme}://${shown(scheduler.httpAddress)}\n\n`;
}

function surroundings(): Surroundings {
  return {
    cwd: process.cwd(),
    // Sources are not part of the published package.
    inCheckout: existsSync(new URL("./main.ts", import.meta.url)),
    isTerminal: process.stdout.isTTY === true,
  };
}
