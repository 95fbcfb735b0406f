import { type DestinationStream, pino, stdTimeFunctions } from "pino";
import type { SonicBoom } from "sonic-boom";
import { errorFields } from "./error-fields.ts";
import { activeSpanFields } from "./tracing.ts";

/** Facts of a log line. `error` is written with its class, message, stack and cause. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Structured log: an event name and its facts. */
export interface Logger {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
  /** True when debug lines are written: ask before working out costly facts. */
  readonly debugEnabled: boolean;
}

/** Levels that can be asked for. */
export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;

/** One of the levels. */
export type LogLevel = (typeof LOG_LEVELS)[number];

/** How the log is written. */
export interface LoggerOptions {
  readonly level: LogLevel;
  /** People read it: colours and columns instead of JSON. */
  readonly pretty: boolean;
  /** Also into this file, turned over at `maxFileMb`. */
  readonly file: string | undefined;
  readonly maxFileMb: number;
}

/** One JSON object a line on stdout, ISO timestamps with milliseconds. */
export async function openLogger(
  options: LoggerOptions,
): Promise<{ log: Logger; close: () => Promise<void> }> {
  const streams: { level: LogLevel; stream: DestinationStream }[] = [];
  if (options.pretty) {
    const { default: pretty } = await import("pino-pretty");
    streams.push({
      level: options.level,
      stream: pretty({
        colorize: true,
        sync: true,
        translateTime: "SYS:yyyy-mm-dd'T'HH:MM:ss.lo",
        ignore: "pid,hostname",
        messageKey: "event",
      }),
    });
  } else {
    streams.push({ level: options.level, stream: pino.destination({ dest: 1, sync: true }) });
  }
  let file: SonicBoom | undefined;
  if (options.file !== undefined) {
    const { default: roll } = await import("pino-roll");
    file = await roll({ file: options.file, size: `${options.maxFileMb}m`, mkdir: true });
    streams.push({ level: options.level, stream: file });
  }
  const root = pino(
    {
      level: options.level,
      messageKey: "event",
      timestamp: stdTimeFunctions.isoTime,
      base: { pid: process.pid },
      formatters: { level: (label) => ({ level: label }) },
      mixin: activeSpanFields,
      serializers: { error: (error: unknown) => errorFields(error) },
    },
    pino.multistream(streams),
  );
  return {
    log: {
      debug: (event, fields = {}) => root.debug(fields, event),
      info: (event, fields = {}) => root.info(fields, event),
      warn: (event, fields = {}) => root.warn(fields, event),
      error: (event, fields = {}) => root.error(fields, event),
      debugEnabled: root.isLevelEnabled("debug"),
    },
    close: async () => {
      const open = file;
      if (!open) return;
      await new Promise<void>((resolve) => {
        open.once("close", resolve);
        open.end();
      });
    },
  };
}

/** Writes nothing. */
export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  debugEnabled: false,
};
