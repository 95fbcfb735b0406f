import { pino } from "pino";
import { build as prettyStream } from "pino-pretty";

/** What the SDK needs of a logger; a pino logger is one. */
export interface Logger {
  debug(fields: object, message?: string): void;
  info(fields: object, message?: string): void;
  warn(fields: object, message?: string): void;
  error(fields: object, message?: string): void;
  child(fields: Record<string, unknown>): Logger;
}

/** Levels of the log, most first. */
export const LOG_LEVELS = ["debug", "info", "warn", "error", "silent"] as const;

/** One of `LOG_LEVELS`. */
export type LogLevel = (typeof LOG_LEVELS)[number];

/**
 * The log of a program: one JSON object a line on standard output, or lines for people when that is a
 * terminal. Writes at once, so that the last line before an exit is never lost.
 */
export function createProgramLogger(level: LogLevel): Logger {
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  const destination = process.stdout.isTTY
    ? prettyStream({ sync: true, translateTime: "SYS:yyyy-mm-dd'T'HH:MM:ss.lo", ignore: "worker_id,pid" })
    : pino.destination({ fd: 1, sync: true });
  return pino(options, destination);
}

/** Says nothing. */
export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLogger,
};
