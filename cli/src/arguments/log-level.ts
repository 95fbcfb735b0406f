/** Words for the levels of log lines. */
import { LogLevel } from "@muster/protocol";

/** Level by its word, the least important first. */
export const LOG_LEVELS: ReadonlyMap<string, LogLevel> = new Map([
  ["debug", LogLevel.DEBUGGING],
  ["info", LogLevel.INFO],
  ["warn", LogLevel.WARNING],
  ["error", LogLevel.FAILURE],
]);

/** @throws RangeError for a word that is no level. */
export function parseLogLevel(text: string): LogLevel {
  const level = LOG_LEVELS.get(text.trim().toLowerCase());
  if (level === undefined)
    throw new RangeError(`"${text}" is not one of: ${[...LOG_LEVELS.keys()].join(", ")}`);
  return level;
}
