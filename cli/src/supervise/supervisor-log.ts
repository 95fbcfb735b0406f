import type { Clock } from "../clock.ts";
import type { Screen } from "../io/io.ts";
import type { LogEvent } from "./log-events.ts";

/** Severity of a line. */
export type Level = "info" | "warn" | "error";

/** What the supervisor itself has to say, apart from the output that it passes on. */
export interface SupervisorLog {
  say(level: Level, event: LogEvent, message: string, fields?: Readonly<Record<string, unknown>>): void;
}

/**
 * Lines on `screen`: for people on a terminal, one JSON object a line elsewhere, like those of workers.
 *
 * @param keep Takes every line as JSON as well.
 */
export function supervisorLog(
  screen: Screen,
  clock: Clock,
  keep: (line: string) => void = () => undefined,
): SupervisorLog {
  return {
    say(level, event, message, fields = {}) {
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
