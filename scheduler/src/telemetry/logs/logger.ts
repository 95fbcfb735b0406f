/** The logger. */
import { RollingFile } from "@muster/common/rolling-file";
import { type DestinationStream, type Logger as PinoLogger, pino, stdTimeFunctions } from "pino";
import { systemClock } from "../../clock.ts";
import { activeSpanFields } from "../spans/tracing.ts";
import { errorFields } from "./error-fields.ts";
import type { LogEvent } from "./events.ts";
import { StandardOutput } from "./standard-output.ts";

/** Keys that every line has by itself. */
const OWN_KEYS = ["time", "level", "event", "pid"] as const;

/** Facts of a log line. `error` is written with its class, message, stack and cause. */
export type LogFields = Readonly<Record<string, unknown>> & {
  readonly [K in (typeof OWN_KEYS)[number]]?: never;
};

/** Structured log: an event name and its facts. */
export interface Logger {
  debug(event: LogEvent<"debug">, fields?: LogFields): void;
  info(event: LogEvent<"info">, fields?: LogFields): void;
  warn(event: LogEvent<"warn">, fields?: LogFields): void;
  error(event: LogEvent<"error">, fields?: LogFields): void;
  /** True when debug lines are written: ask before working out costly facts. */
  readonly debugEnabled: boolean;
}

/** Levels of the setting. */
export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;

/** One of the levels. */
export type LogLevel = (typeof LOG_LEVELS)[number];

/** How the log is written. */
export interface LoggerOptions {
  readonly level: LogLevel;
  /** People read it: colours and columns instead of JSON. */
  readonly pretty: boolean;
  /** Also into this file, rotated at `maxFileMb`. */
  readonly file: string | undefined;
  readonly maxFileMb: number;
  /** Older files that are kept. */
  readonly keepFiles: number;
}

/** A log, and its end. */
export interface OpenLog {
  readonly log: Logger;
  /** Writes plain text to the output of the log. */
  readonly print: (text: string) => void;
  readonly close: () => void;
}

/**
 * One JSON object a line on stdout, ISO timestamps with milliseconds; into the file at once too.
 *
 * @throws Error when the file cannot be opened.
 */
export async function openLogger(options: LoggerOptions): Promise<OpenLog> {
  const output = new StandardOutput({
    fd: 1,
    clock: systemClock,
    onFault: (error) => log.error("log.output_failed", { error }),
    onRecovered: (count) => log.warn("log.output_recovered", { lost_lines: count }),
  });
  const format = options.pretty ? await prettyLines() : (line: string) => line;
  const streams: { level: LogLevel; stream: DestinationStream }[] = [
    { level: options.level, stream: { write: (line) => output.write(format(line)) } },
  ];
  const { file: path } = options;
  const file =
    path === undefined
      ? undefined
      : new RollingFile({
          path,
          maxBytes: options.maxFileMb * 1024 * 1024,
          keep: options.keepFiles,
          onFault: (error) => log.error("log.file_failed", { path, error }),
          onRecovered: (count) => log.warn("log.file_recovered", { path, lost_lines: count }),
        });
  if (file) streams.push({ level: options.level, stream: { write: (line) => file.write(line) } });
  const root: PinoLogger = pino(
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
  const log: Logger = {
    debug: (event, fields = {}) => root.debug(withoutOwn(fields), event),
    info: (event, fields = {}) => root.info(withoutOwn(fields), event),
    warn: (event, fields = {}) => root.warn(withoutOwn(fields), event),
    error: (event, fields = {}) => root.error(withoutOwn(fields), event),
    debugEnabled: root.isLevelEnabled("debug"),
  };
  return {
    log,
    print: (text) => output.write(text),
    close: () => {
      output.close();
      file?.close();
    },
  };
}

/** Log lines in the pretty format. */
async function prettyLines(): Promise<(line: string) => string> {
  const { prettyFactory } = await import("pino-pretty");
  return prettyFactory({
    colorize: process.stdout.isTTY === true && process.stdout.hasColors(),
    translateTime: "SYS:yyyy-mm-dd'T'HH:MM:ss.lo",
    ignore: "pid,hostname",
    messageKey: "event",
  });
}

/** The line's own keys are written apart from its facts: a fact of the same name would stand there a second time. */
function withoutOwn(fields: LogFields): LogFields {
  if (!OWN_KEYS.some((key) => key in fields)) return fields;
  const entries: [string, unknown][] = Object.entries(fields);
  return Object.fromEntries(
    entries.map(([key, value]) => [OWN_KEYS.some((own) => own === key) ? `${key}_` : key, value]),
  );
}

/** Writes nothing. */
export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  debugEnabled: false,
};
