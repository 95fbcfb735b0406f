import type { Clock } from "../clock.ts";
import type { Deadline, Deadlines } from "./deadlines.ts";

/** The longest wait between two reports: what is stuck for a week is still heard of every hour. */
export const MAX_INTERVAL_MS = 3_600_000;

/** Told by a watch. Times in milliseconds since the watched thing began. */
export interface PhaseWatchdogListener {
  /** It has lasted longer than the threshold, or than the next, twice as long, interval after it. */
  stuck(elapsedMs: number): void;
  /** It ended, or moved again, after having been reported as stuck. */
  recovered(elapsedMs: number): void;
}

/**
 * A soft watchdog: it reports, again and again at growing intervals (after 1, 3, 7, 15, ... times the
 * threshold, at least once an hour), and never acts.
 */
export class PhaseWatchdog {
  readonly #clock: Clock;
  readonly #deadlines: Deadlines;
  readonly #warnAfterMs: number;
  readonly #listener: PhaseWatchdogListener;
  readonly #beganMs: number;
  #stillSinceMs: number;
  #intervalMs: number;
  #deadline: Deadline;
  #warnings = 0;

  /** @param beganMs When the watched thing began, on the monotonic clock; now by default. */
  constructor(
    clock: Clock,
    deadlines: Deadlines,
    warnAfterMs: number,
    listener: PhaseWatchdogListener,
    beganMs: number = clock.monotonicMs(),
  ) {
    this.#clock = clock;
    this.#deadlines = deadlines;
    this.#warnAfterMs = warnAfterMs;
    this.#listener = listener;
    this.#beganMs = beganMs;
    this.#stillSinceMs = beganMs;
    this.#intervalMs = warnAfterMs;
    this.#deadline = deadlines.add(beganMs + warnAfterMs - clock.monotonicMs(), this.#warn);
  }

  /** Reports since it began or last moved. Not 0: it is stuck. */
  get warnings(): number {
    return this.#warnings;
  }

  /** When its clock was last started: its begin, or the last progress. */
  get stillSinceMs(): number {
    return this.#stillSinceMs;
  }

  /** It moves: the clock starts again, and a report that it is stuck is taken back. */
  progress(): void {
    this.#takeBack();
    this.#stillSinceMs = this.#clock.monotonicMs();
    this.#intervalMs = this.#warnAfterMs;
    this.#deadlines.remove(this.#deadline);
    this.#deadline = this.#deadlines.add(this.#warnAfterMs, this.#warn);
  }

  /** It ended. */
  close(): void {
    this.cancel();
    this.#takeBack();
  }

  /** Watches no more and says nothing. */
  cancel(): void {
    this.#deadlines.remove(this.#deadline);
  }

  readonly #warn = (): void => {
    this.#warnings += 1;
    this.#intervalMs = Math.max(this.#warnAfterMs, Math.min(this.#intervalMs * 2, MAX_INTERVAL_MS));
    this.#deadline = this.#deadlines.add(this.#intervalMs, this.#warn);
    this.#listener.stuck(this.#clock.monotonicMs() - this.#beganMs);
  };

  #takeBack(): void {
    if (this.#warnings === 0) return;
    this.#warnings = 0;
    this.#listener.recovered(this.#clock.monotonicMs() - this.#beganMs);
  }
}
