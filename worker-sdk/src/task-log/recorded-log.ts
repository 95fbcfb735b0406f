/** A handler's logger whose lines are also kept with the task. */
import type { TaskLog } from "../logging/logger.ts";
import type { LineLevel } from "./attempt-log.ts";

/** Takes a line. */
type Record = (level: LineLevel, fields: object, message: string | undefined) => void;

/** Wraps a logger: each line goes to it and to `record`. Its other methods stay. */
export function recordedLog(
  log: TaskLog,
  record: Record,
  bound: Readonly<{ [name: string]: unknown }> = {},
): TaskLog {
  const line = (level: LineLevel) => ({
    value: (fields: object | string, message?: string) => {
      if (typeof fields === "string") {
        log[level](fields);
        record(level, bound, fields);
        return;
      }
      log[level](fields, message);
      record(level, { ...bound, ...(fields instanceof Error ? { err: fields } : fields) }, message);
    },
  });
  return Object.create(log, {
    debug: line("debug"),
    info: line("info"),
    warn: line("warn"),
    error: line("error"),
    child: {
      value: (fields: Readonly<{ [name: string]: unknown }>) =>
        recordedLog(log.child(fields), record, { ...bound, ...fields }),
    },
  });
}
