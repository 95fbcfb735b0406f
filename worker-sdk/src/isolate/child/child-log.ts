/** The loggers of an isolated handler's process: lines go to the worker. */
import type { Logger } from "../../logging/logger.ts";
import type { TaskLogSettings } from "../../options/task-log-options.ts";
import type { LineLevel } from "../../task-log/attempt-log.ts";
import { type LineText, lineText } from "../../task-log/line.ts";
import { toWorker } from "./channel.ts";

/** Writes lines to the worker's log. */
export function workerLog(bound: Readonly<Record<string, unknown>> = {}): Logger {
  const line =
    (level: LineLevel) =>
    (fields: object, message?: string): void =>
      toWorker({
        kind: "log",
        level,
        fields: plain({ ...bound, ...(fields instanceof Error ? { err: fields } : fields) }),
        message,
      });
  return {
    debug: line("debug"),
    info: line("info"),
    warn: line("warn"),
    error: line("error"),
    child: (fields) => workerLog({ ...bound, ...fields }),
  };
}

/** Keeps lines with the attempt; the worker numbers them, and counts those of the standard outputs among them. */
export function keptLines(settings: TaskLogSettings) {
  return {
    open: () => {
      // What runs on when its attempt has ended must not write to the log of the next one.
      let ended = false;
      const writeText = (level: LineLevel, text: LineText): void => {
        if (!ended) toWorker({ kind: "line", level, text });
      };
      return {
        write: (level: LineLevel, fields: object, message: string | undefined) =>
          writeText(level, lineText(fields, message ?? "", settings)),
        writeText,
        end() {
          ended = true;
        },
      };
    },
  };
}

/** Facts that can be sent: what has no JSON form is left out, and errors are described. */
function plain(fields: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(JSON.stringify(fields, describe));
  } catch (error) {
    return { unreadable: error instanceof Error ? error.message : String(error) };
  }
}

function describe(_: string, value: unknown): unknown {
  if (typeof value === "bigint") return String(value);
  if (!(value instanceof Error)) return value;
  return { ...value, type: value.name, message: value.message, stack: value.stack };
}
