// The programs `muster serve` and `muster migrate`: configuration, log, database, scheduler, signals, stop.
import { existsSync } from "node:fs";
import { holdProcess, systemClock } from "./clock.ts";
import { type Config, ConfigError, loadConfig, type Surroundings } from "./config/config.ts";
import { describeSettings } from "./config/settings-help.ts";
import { Refusal } from "./domain/errors.ts";
import { type Scheduler, startScheduler } from "./scheduler.ts";
import { reachable, shown } from "./start/addresses.ts";
import { isStop, migrate, type OpenDatabase, openDatabase } from "./start/database.ts";
import { onHangup, onStopSignals, onUncaughtErrors } from "./start/signals.ts";
import { startFailure } from "./start/start-failure.ts";
import { whenUsable } from "./start/when-usable.ts";
import { type OpenLog, openLogger } from "./telemetry/logs/logger.ts";
import { VERSION } from "./version.ts";

/** After an orderly end, what is still open holds the process for this long, milliseconds. */
const LINGER_MS = 200;

type Env = Readonly<Record<string, string | undefined>>;

/** A scheduler that serves, for what runs beside it in the process. */
export interface ServingScheduler {
  /** `host:port` for workers and gRPC clients of this machine. */
  readonly address: string;
  readonly token: string | undefined;
  /** It takes encrypted connections only. */
  readonly tls: boolean;
  readonly dataDir: string;
}

/** What runs beside a scheduler: stopped before it. */
export interface Beside {
  stop(): Promise<void>;
}

/** Exit codes of the scheduler, as the CLI documents them. */
const EXIT_OK = 0;
const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

/**
 * Runs a scheduler until SIGTERM or SIGINT, with the embedded PostgreSQL unless a database is named.
 * A second signal exits at once.
 *
 * @param startBeside Called when it serves; must not throw.
 * @returns The exit code: 0 after an orderly stop, 1 when it failed, 2 when the configuration is wrong. An uncaught
 * error that no call caused ends the process with 70, after a log line that names it.
 */
export async function runScheduler(
  argv: readonly string[],
  env: Env,
  startBeside?: (scheduler: ServingScheduler) => Promise<Beside | undefined>,
): Promise<number> {
  return withConfig(argv, env, "muster serve", async (config, { log, print }) => {
    const stop = onStopSignals(log);
    let database: OpenDatabase | undefined;
    let scheduler: Scheduler | undefined;
    let beside: Beside | undefined;
    const removeHangup = onHangup(log, () => void scheduler?.reload());
    const removeGuard = onUncaughtErrors(log, (error) => scheduler?.takeFault(error) ?? false);
    const { signal } = stop;
    try {
      const opened = await openDatabase(config, env, { log, signal });
      database = opened;
      const waiting = { clock: systemClock, log, signal };
      const { applied, version } = await whenUsable(() => migrate(opened, { log, signal }), waiting);
      if (applied.length > 0) log.info("database.migrated", { applied, version });
      scheduler = await startScheduler({
        config,
        databaseUrl: opened.url,
        env: opened.libpq,
        log,
        signal,
      });
      if (config.logPretty) print(where(scheduler, config));
      const { token, tls, dataDir } = config;
      const address = shown(reachable(scheduler.grpcAddress));
      beside = await startBeside?.({ address, token, tls: tls !== undefined, dataDir });
      const died = opened.embedded?.exited ?? new Promise<never>(() => undefined);
      const exit = await Promise.race([stop.requested, died]);
      if (exit !== undefined && !signal.aborted) {
        log.error("database.ended", { ...exit, message: "the embedded PostgreSQL ended by itself" });
        return EXIT_FAILED;
      }
      return EXIT_OK;
    } catch (error) {
      if (!isStop(error, signal)) throw error;
      log.info("scheduler.start_cancelled", {});
      return EXIT_OK;
    } finally {
      await beside?.stop();
      await scheduler?.stop();
      await database?.embedded?.stop();
      stop.dispose();
      removeHangup();
      removeGuard();
    }
  });
}

/**
 * Migrates a database to this program's schema.
 *
 * @returns The exit code, as for `runScheduler`.
 */
export async function runMigrate(argv: readonly string[], env: Env): Promise<number> {
  return withConfig(argv, env, "muster migrate", async (config, { log }) => {
    const stop = onStopSignals(log);
    const { signal } = stop;
    let database: OpenDatabase | undefined;
    try {
      database = await openDatabase(config, env, { log, signal });
      const { applied, version } = await migrate(database, { log, signal });
      log.info("database.migrated", { applied, version });
      return EXIT_OK;
    } catch (error) {
      if (!isStop(error, signal)) throw error;
      return EXIT_OK;
    } finally {
      await database?.embedded?.stop();
      stop.dispose();
    }
  });
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
  const release = holdProcess();
  try {
    return await run(config, opened);
  } catch (error) {
    log.error("scheduler.failed", { error: startFailure(error) });
    const hint = error instanceof Refusal ? ` (${error.reason})` : "";
    process.stderr.write(`error: ${error instanceof Error ? error.message : String(error)}${hint}\n`);
    return EXIT_FAILED;
  } finally {
    release();
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
