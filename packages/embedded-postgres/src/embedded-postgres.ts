/** Starts an embedded PostgreSQL from the scheduler, through a guardian process. */
import { type ChildProcess, fork } from "node:child_process";
import { isAbsolute, parse } from "node:path";
import { createInterface } from "node:readline";
import { settlesWithin } from "./clock.ts";
import { layoutOf } from "./data-folder/layout.ts";
import { EmbeddedPostgresError, messageOf } from "./errors.ts";
import { isFromGuardian, type ReadyFacts, type ToGuardian, toError } from "./messages.ts";
import { FAST_SHUTDOWN_MS, IMMEDIATE_SHUTDOWN_MS, stopPostmaster } from "./server/postmaster.ts";
import type { Exit } from "./system/run.ts";

/** Options of an embedded PostgreSQL. */
export interface EmbeddedPostgresOptions {
  /** Where the data is kept from run to run, absolute. Created when missing; never emptied. */
  dataDir: string;
  /** The port to listen on, on 127.0.0.1 only. Default: a free one, another at each start. */
  port?: number;
  /** Called with each log line of PostgreSQL and of its guardian. */
  log: (line: string) => void;
  /** Cancels the start; without effect once the database has started. */
  signal?: AbortSignal;
  /**
   * The folder for data and programs of root that PostgreSQL's account cannot reach at their own place (below /root, for
   * example). Default: `/var/lib/muster`.
   */
  stateRoot?: string;
}

/** A running PostgreSQL with a database named `muster`, empty or kept from an earlier run. */
export interface EmbeddedPostgres {
  /** Connection URL, with the password. */
  url: string;
  /** The data folder in use; see `stateRoot` for when it is not the wanted one. */
  dataDir: string;
  port: number;
  /** The version of PostgreSQL, for example "18.4". */
  version: string;
  /** The process id of PostgreSQL (the postmaster). */
  pid: number;
  /** The process id of the guardian, which ends shortly after the scheduler. */
  guardianPid: number;
  /**
   * Resolves when the database has ended, and never rejects: with code 0 after `stop()`; with the exit of PostgreSQL when
   * it ended by itself (code 0 too, when another program stopped it); with the exit of the guardian when that was killed.
   * PostgreSQL is then being stopped as well, and `stop()` waits for it.
   */
  exited: Promise<Exit>;
  /**
   * Stops the database (fast shutdown: connections are closed, a checkpoint is written) and its guardian. May
   * be called at any time and more than once.
   *
   * @throws EmbeddedPostgresError `ORPHAN_SURVIVES` when PostgreSQL outlives its killed guardian and does not stop
   */
  stop(): Promise<void>;
}

/** Longer than the guardian waits before it ends PostgreSQL by force. */
const GUARDIAN_STOP_MS = FAST_SHUTDOWN_MS + IMMEDIATE_SHUTDOWN_MS + 10_000;

/** `exited` waits no longer than this for a PostgreSQL that outlives its guardian. */
const LEFT_BEHIND_MS = 2_000;

/**
 * Starts PostgreSQL on a data folder, under a guardian process: the database stops when `stop()` is called, and also when
 * this process ends in any other way. A database that killed processes left running is stopped and recovered first.
 *
 * @throws EmbeddedPostgresError; `code` is the cause, the message has the remedy
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  check(options);
  if (options.signal?.aborted) throw aborted(options);
  const guardian = forkGuardian(options);
  const closed = followGuardian(guardian);
  const facts = await becomeReady(guardian, closed, options);
  return handle(guardian, closed, facts, options);
}

function check(options: EmbeddedPostgresOptions): void {
  const { dataDir, port } = options;
  if (process.platform === "win32") {
    throw new EmbeddedPostgresError(
      "UNSUPPORTED_PLATFORM",
      "The embedded PostgreSQL does not run on Windows. Start the scheduler in WSL, or set DATABASE_URL to a " +
        "PostgreSQL of your own.",
    );
  }
  if (!isAbsolute(dataDir)) {
    throw new EmbeddedPostgresError(
      "INVALID_OPTION",
      `dataDir is "${dataDir}"; it must be an absolute path.`,
    );
  }
  if (port !== undefined && !(Number.isInteger(port) && port >= 1 && port <= 65_535)) {
    throw new EmbeddedPostgresError(
      "INVALID_OPTION",
      `port is ${port}; it must be a whole number from 1 to 65535, or be left out to have a free one chosen.`,
    );
  }
}

function forkGuardian(options: EmbeddedPostgresOptions): ChildProcess {
  const program = new URL(
    import.meta.url.endsWith(".ts") ? "./guardian.ts" : "./guardian.js",
    import.meta.url,
  );
  return fork(program, [], {
    // A session of its own: a Ctrl-C in the terminal reaches only the scheduler, which drains before it stops PostgreSQL.
    detached: true,
    cwd: parse(options.dataDir).root,
    // node:sqlite warns on Node 22. Other options of this process are not passed on to the guardian.
    execArgv: ["--disable-warning=ExperimentalWarning"],
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
}

interface GuardianEnd extends Exit {
  /** The last lines of its standard error: they have the cause when Node itself failed. */
  lastLines: string;
  /** Set when the process could not even be started. */
  error?: Error;
}

/** Resolves when the process has ended and its last message was delivered. */
function followGuardian(guardian: ChildProcess): Promise<GuardianEnd> {
  const lines: string[] = [];
  if (guardian.stderr) {
    createInterface({ input: guardian.stderr }).on("line", (line) => {
      lines.push(line);
      if (lines.length > 20) lines.shift();
    });
  }
  return new Promise((resolve) => {
    // Only "spawn failed" and "send failed" are emitted here; the second comes with "close".
    guardian.on("error", (error) => {
      if (guardian.pid === undefined) resolve({ code: null, signal: null, lastLines: "", error });
    });
    guardian.once("close", (code, signal) => resolve({ code, signal, lastLines: lines.join(" | ") }));
  });
}

function send(guardian: ChildProcess, message: ToGuardian): void {
  // The guardian may have just ended; "close" reports that, and the error event has a listener.
  if (guardian.connected) guardian.send(message);
}

async function becomeReady(
  guardian: ChildProcess,
  closed: Promise<GuardianEnd>,
  options: EmbeddedPostgresOptions,
): Promise<ReadyFacts> {
  const { signal } = options;
  const outcome = Promise.withResolvers<ReadyFacts | EmbeddedPostgresError>();
  guardian.on("message", (message: unknown) => {
    if (!isFromGuardian(message)) return;
    if (message.type === "log") options.log(message.line);
    else if (message.type === "ready") outcome.resolve(message);
    else if (message.type === "failed") outcome.resolve(toError(message));
  });
  const stop = () => send(guardian, { type: "stop" });
  signal?.addEventListener("abort", stop);
  send(guardian, {
    type: "start",
    dataDir: options.dataDir,
    port: options.port,
    schedulerPid: process.pid,
    stateRoot: options.stateRoot ?? "/var/lib/muster",
  });
  const first = await Promise.race([outcome.promise, closed]);
  signal?.removeEventListener("abort", stop);

  if ("url" in first && !signal?.aborted) return first;
  stop();
  const end = await closed;
  if (signal?.aborted) throw aborted(options);
  throw first instanceof EmbeddedPostgresError ? first : guardianFailed(end);
}

function aborted(options: EmbeddedPostgresOptions): EmbeddedPostgresError {
  const cause: unknown = options.signal?.reason;
  return new EmbeddedPostgresError(
    "ABORTED",
    `The start of PostgreSQL on ${options.dataDir} was ended by its caller: ${messageOf(cause)}`,
    { cause },
  );
}

function guardianFailed(end: GuardianEnd): EmbeddedPostgresError {
  const how = end.error
    ? `could not be started: ${end.error.message}`
    : `ended with ${end.code ?? end.signal}`;
  return new EmbeddedPostgresError(
    "GUARDIAN_FAILED",
    `The guardian of PostgreSQL ${how} before the database was ready${end.lastLines && ` (${end.lastLines})`}. ` +
      `Start again: a database that it may have left running is recovered.`,
    end.error && { cause: end.error },
  );
}

function handle(
  guardian: ChildProcess,
  closed: Promise<GuardianEnd>,
  facts: ReadyFacts,
  options: EmbeddedPostgresOptions,
): EmbeddedPostgres {
  const { url, dataDir, port, version, pid } = facts;
  const { cluster } = layoutOf(dataDir);
  let serverExit: Exit | undefined;
  guardian.on("message", (message: unknown) => {
    if (isFromGuardian(message) && message.type === "exited") serverExit = message;
  });
  let leftBehind = Promise.resolve();
  const exited = closed.then(async ({ code, signal }): Promise<Exit> => {
    if (serverExit) return { code: serverExit.code, signal: serverExit.signal };
    if (code === 0) return { code, signal };
    options.log(
      `the guardian of PostgreSQL (pid ${guardian.pid}) ended with ${code ?? signal}; stopping PostgreSQL`,
    );
    leftBehind = stopPostmaster(pid, cluster);
    leftBehind.catch((error: unknown) => options.log(messageOf(error)));
    await settlesWithin(leftBehind, LEFT_BEHIND_MS);
    return { code, signal };
  });
  let stopping: Promise<void> | undefined;
  const stop = async () => {
    send(guardian, { type: "stop" });
    if (!(await settlesWithin(closed, GUARDIAN_STOP_MS))) {
      options.log(`the guardian of PostgreSQL (pid ${guardian.pid}) does not stop; ending it`);
      guardian.kill("SIGKILL");
    }
    await exited;
    await leftBehind;
  };
  return {
    url,
    dataDir,
    port,
    version,
    pid,
    guardianPid: guardian.pid ?? 0,
    exited,
    stop: () => {
      stopping ??= stop();
      return stopping;
    },
  };
}
