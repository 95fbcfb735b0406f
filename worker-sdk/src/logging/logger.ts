/** The logger of the SDK. */
import { createRequire } from "node:module";
import { pino } from "pino";
import type { PrettyStream } from "pino-pretty";
import { LogOutput } from "./log-output.ts";

/** Logger that the SDK writes to; a pino logger fits. Facts come first, then the message. */
export interface Logger {
  /** Writes a line of the level `debug`. */
  debug(fields: object, message?: string): void;
  /** Writes a line of the level `info`. */
  info(fields: object, message?: string): void;
  /** Writes a line of the level `warn`. */
  warn(fields: object, message?: string): void;
  /** Writes a line of the level `error`. */
  error(fields: object, message?: string): void;
  /** Makes a logger whose lines have these facts, too. */
  child(fields: Record<string, unknown>): Logger;
}

/** Writes a line: facts with or without a message, or a message alone. */
export interface LogLine {
  (fields: object, message?: string): void;
  (message: string): void;
}

/**
 * Logger of a handler, `ctx.log`; its lines may be a message alone.
 *
 * @example
 * ```ts
 * ctx.log.info("model ready");
 * ctx.log.warn({ page: 3 }, "the page is empty");
 * ```
 */
export interface TaskLog extends Logger {
  /** Writes a line of the level `debug`. */
  readonly debug: LogLine;
  /** Writes a line of the level `info`. */
  readonly info: LogLine;
  /** Writes a line of the level `warn`. */
  readonly warn: LogLine;
  /** Writes a line of the level `error`. */
  readonly error: LogLine;
  /** Makes a logger whose lines have these facts, too. */
  child(fields: Record<string, unknown>): TaskLog;
}

/** Wraps a logger so that it also takes a message alone; its other methods stay. */
export function taskLog(log: Logger): TaskLog {
  const line = (level: "debug" | "info" | "warn" | "error") => ({
    value: (fields: object | string, message?: string) =>
      typeof fields === "string" ? log[level]({}, fields) : log[level](fields, message),
  });
  return Object.create(log, {
    debug: line("debug"),
    info: line("info"),
    warn: line("warn"),
    error: line("error"),
    child: { value: (fields: Record<string, unknown>) => taskLog(log.child(fields)) },
  });
}

/** Levels of the log, most first. */
export const LOG_LEVELS = ["debug", "info", "warn", "error", "silent"] as const;

/** One of `LOG_LEVELS`. */
export type LogLevel = (typeof LOG_LEVELS)[number];

/**
 * Logger of a program: JSON lines on standard output, or readable lines when that is a terminal. It writes
 * synchronously, so that the last line before an exit is not lost.
 */
export function createProgramLogger(level: LogLevel): Logger {
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  const destination =
    (process.stdout.isTTY ? prettyOutput() : undefined) ??
    new LogOutput(1, (lost) =>
      log.warn({ event: "worker.log.recovered", lost_lines: lost }, "the log goes on"),
    );
  const log = withKeysOnce(pino(options, destination), {});
  return log;
}

/**
 * Writes readable lines on standard output; undefined in a bundle that is away from its packages. Only a terminal needs the
 * package: 30 modules at every start otherwise.
 */
function prettyOutput(): PrettyStream | undefined {
  let pretty: typeof import("pino-pretty");
  try {
    // Not `import()`: an uncaught error is logged before the process can await anything. A bundle that is CommonJS has no URL.
    pretty = createRequire(import.meta.url ?? __filename)("pino-pretty");
  } catch {
    return undefined;
  }
  return pretty.build({
    sync: true,
    colorize: process.stdout.hasColors(),
    translateTime: "SYS:yyyy-mm-dd'T'HH:MM:ss.lo",
    ignore: "worker_id,pid,uid,gid,cwd",
    // One line an event: with one line a field a task takes thirty.
    singleLine: true,
  });
}

/** Keys that the logger itself writes in every line. */
const OWN_KEYS: ReadonlySet<string> = new Set(["level", "time", "msg"]);

/**
 * Wraps a logger so that its lines have every key once. pino writes the bindings of a child and then the facts of the
 * line, so that a key of both would appear twice; here the fact of the line replaces the binding.
 */
function withKeysOnce(log: Logger, bound: Readonly<Record<string, unknown>>): Logger {
  const merged = (fields: object) => {
    const entries = Object.entries({ ...bound, ...fields });
    return Object.fromEntries(
      entries.map(([key, value]) => [OWN_KEYS.has(key) ? `${key}_` : key, value] as const),
    );
  };
  // pino serialises errors under `err`.
  const facts = (fields: object) => merged(fields instanceof Error ? { err: fields } : fields);
  return {
    debug: (fields, message) => log.debug(facts(fields), message),
    info: (fields, message) => log.info(facts(fields), message),
    warn: (fields, message) => log.warn(facts(fields), message),
    error: (fields, message) => log.error(facts(fields), message),
    child: (fields) => withKeysOnce(log, { ...bound, ...fields }),
  };
}

/** Writes nothing. */
export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLogger,
};
