/** The log of a launcher. */
import type { Clock } from "../clock.ts";
import type { Screen } from "../io/io.ts";

/** The log events of `muster launcher` with their levels. docs/logs.md documents them; a test compares both. */
export const LAUNCHER_LOG_EVENTS = {
  "launcher.connected": "info",
  "launcher.disconnected": "warn",
  "launcher.driver_failed": "error",
  "launcher.launch_refused": "error",
  "launcher.launched": "info",
  "launcher.pools": "info",
  "launcher.reconnected": "info",
  "launcher.stopping": "info",
} as const;

/** An event of the catalogue; the compiler refuses others. */
export type LauncherLogEvent = keyof typeof LAUNCHER_LOG_EVENTS;

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
export function launcherLog(screen: Screen, clock: Clock): LauncherLog {
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
