/** A logger that keeps its lines. */
import type { Logger, LogLevel } from "../logging/logger.ts";

/** A line of the log. */
export interface LogRecord {
  /** Level of the line. */
  readonly level: Exclude<LogLevel, "silent">;
  /** Facts of the line, those of its logger among them: `event`, `attempt_id`, ... */
  readonly fields: Readonly<Record<string, unknown>>;
  /** Text of the line; empty without one. */
  readonly message: string;
}

/** Keeps lines, and passes them on where there is another logger. */
export function recordingLogger(
  records: LogRecord[],
  onward: Logger | undefined,
  bound: Readonly<Record<string, unknown>> = {},
): Logger {
  const line = (level: LogRecord["level"]) => (fields: object, message?: string) => {
    records.push({ level, fields: { ...bound, ...fields }, message: message ?? "" });
    onward?.[level](fields, message);
  };
  return {
    debug: line("debug"),
    info: line("info"),
    warn: line("warn"),
    error: line("error"),
    child: (fields) => recordingLogger(records, onward?.child(fields), { ...bound, ...fields }),
  };
}
