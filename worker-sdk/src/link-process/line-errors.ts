/** Reports lines that are skipped, to the worker and in the log. */
import type { Clock } from "../clock.ts";
import type { Logger } from "../logging/logger.ts";

/** Most errors in a window: a worker that writes nothing else must not fill the log. */
const MAX_ERRORS = 20;
const WINDOW_MS = 60_000;

/** Characters of the line that are shown to the worker. */
const SHOWN = 200;

/** A line that was skipped. */
export interface SkippedLine {
  readonly code: string;
  readonly message: string;
  /** The line; its first characters are sent back. */
  readonly line: string;
}

/** Reports errors, at most so many in a minute; the next one has the number of those that were left out. */
export class LineErrors {
  readonly #clock: Clock;
  readonly #log: Pick<Logger, "warn">;
  readonly #inform: (line: { readonly kind: "error" } & Readonly<Record<string, unknown>>) => void;
  #windowMs = Number.NEGATIVE_INFINITY;
  #count = 0;
  #suppressed = 0;

  constructor(parts: {
    readonly clock: Clock;
    readonly log: Pick<Logger, "warn">;
    readonly inform: (line: { readonly kind: "error" } & Readonly<Record<string, unknown>>) => void;
  }) {
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#inform = parts.inform;
  }

  report({ code, message, line }: SkippedLine): void {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#windowMs >= WINDOW_MS) {
      this.#windowMs = nowMs;
      this.#count = 0;
    }
    this.#count += 1;
    if (this.#count > MAX_ERRORS) {
      this.#suppressed += 1;
      return;
    }
    const suppressed = this.#suppressed === 0 ? {} : { suppressed: this.#suppressed };
    this.#suppressed = 0;
    // The line itself is not logged: it may hold anything.
    this.#log.warn(
      { event: "worker.link.line", code, ...suppressed },
      `a line of the worker is skipped: ${message}`,
    );
    this.#inform({ kind: "error", code, message, line: line.slice(0, SHOWN), ...suppressed });
  }
}
