/** The log of a supervisor. */
import type { Clock } from "../clock.ts";
import type { LogScreen } from "../io.ts";
import type { LogEvent } from "./log-events.ts";

/** Severity of a line. */
export type Level = "info" | "warn" | "error";

/** The supervisor's own log, apart from the output that it passes through. */
export interface SupervisorLog {
  write(level: Level, event: LogEvent, message: string, fields?: Readonly<Record<string, unknown>>): void;
}

/**
 * Writes to `screen`: readable lines on a terminal, otherwise one JSON object a line, like workers do.
 *
 * @param keep Receives every line as JSON, too.
 */
export function supervisorLog(
  screen: LogScreen,
  clock: Clock,
  keep: (line: string) => void = () => undefined,
): SupervisorLog {
  return {
    write(level, event, message, fields = {}) {
      const time = new Date(clock.now()).toISOString();
      const line = `${JSON.stringify({ ...fields, level, time, event, msg: message })}\n`;
      keep(line);
      if (screen.isTTY) {
        const { dim, red, yellow } = screen.colors;
        const paint = level === "error" ? red : level === "warn" ? yellow : dim;
        screen.write(`${paint(`muster run: ${message}`)}\n`);
        return;
      }
      screen.write(line);
    },
  };
}
