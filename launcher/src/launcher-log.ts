/** The log of a launcher. */
import type { Clock } from "./clock.ts";
import type { LogScreen } from "./io.ts";
import type { LauncherLogEvent } from "./log-events.ts";

/** Severity of a line. */
export type LauncherLogLevel = "info" | "warn" | "error";

/** The launcher's own log. */
export interface LauncherLog {
  write(
    level: LauncherLogLevel,
    event: LauncherLogEvent,
    message: string,
    fields?: Readonly<Record<string, unknown>>,
  ): void;
}

/** Writes to `screen`: readable lines on a terminal, otherwise one JSON object a line. */
export function launcherLog(screen: LogScreen, clock: Clock): LauncherLog {
  return {
    write(level, event, message, fields = {}) {
      if (!screen.isTTY) {
        const time = new Date(clock.now()).toISOString();
        screen.write(`${JSON.stringify({ ...fields, level, time, event, msg: message })}\n`);
        return;
      }
      const { dim, red, yellow } = screen.colors;
      const paint = level === "error" ? red : level === "warn" ? yellow : dim;
      screen.write(`${paint(`muster launcher: ${message}`)}\n`);
    },
  };
}
