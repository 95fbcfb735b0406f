import type { Clock } from "../clock.ts";
import type { Screen } from "../io.ts";

/** Severity of a line. */
export type Level = "info" | "warn" | "error";

/** What the supervisor itself has to say, apart from the output that it passes on. */
export interface SupervisorLog {
  say(level: Level, event: string, message: string, fields?: Readonly<Record<string, unknown>>): void;
}

/** Lines on `screen`: for people on a terminal, one JSON object a line elsewhere, like those of workers. */
export function supervisorLog(screen: Screen, clock: Clock): SupervisorLog {
  return {
    say(level, event, message, fields = {}) {
      if (screen.isTTY) {
        const { dim, red, yellow } = screen.colors;
        const paint = level === "error" ? red : level === "warn" ? yellow : dim;
        screen.write(`${paint(`muster run: ${message}`)}\n`);
        return;
      }
      const time = new Date(clock.now()).toISOString();
      screen.write(`${JSON.stringify({ level, time, event, ...fields, msg: message })}\n`);
    },
  };
}
