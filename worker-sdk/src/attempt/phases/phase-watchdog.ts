/** Reports phases that exceed their threshold. */
import type { Clock } from "../../clock.ts";
import type { Deadline, Deadlines } from "../deadlines.ts";

/** Longest interval between two reports: a phase that is stuck for a week is reported every hour. */
export const MAX_INTERVAL_MS = 3_600_000;

/** Callbacks of a watchdog. Times in milliseconds since the phase began. */
export interface PhaseWatchdogListener {
  /** The phase has lasted longer than the threshold, or than the next interval, which doubles each time. */
  stuck(elapsedMs: number): void;
  /** The phase ended or made progress after it had been reported as stuck. */
  recovered(elapsedMs: number): void;
}

/**
 * A soft watchdog: it reports a phase at growing intervals (after 1, 3, 7, 15, ... times the threshold, at least once
 * an hour), and ends nothing.
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
  #suspended = false;

  /** @param beganMs When the phase began, on the monotonic clock; now by default. */
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

  /** Reports since the phase began or last made progress. It is stuck when this is not 0. */
  get warnings(): number {
    return this.#warnings;
  }

  /** When the threshold began to count: the start of the phase, or its last progress. */
  get stillSinceMs(): number {
    return this.#stillSinceMs;
  }

  /** The phase made progress: the threshold counts from now, and a phase that was stuck has recovered. */
  progress(): void {
    if (this.#suspended) return;
    this.#recover();
    this.#stillSinceMs = this.#clock.monotonicMs();
    this.#intervalMs = this.#warnAfterMs;
    this.#warnAt(this.#stillSinceMs + this.#warnAfterMs);
  }

  /** It is not stuck before this time, and when it was it has recovered. @param untilMs On the monotonic clock. */
  hold(untilMs: number): void {
    if (this.#suspended) return;
    this.#recover();
    this.#intervalMs = this.#warnAfterMs;
    this.#warnAt(Math.max(untilMs, this.#stillSinceMs + this.#warnAfterMs));
  }

  /** The phase is not watched until `resume()` is called. */
  suspend(): void {
    this.#recover();
    this.#suspended = true;
    this.#deadlines.remove(this.#deadline);
  }

  /** The threshold counts from now. */
  resume(): void {
    if (!this.#suspended) return;
    this.#suspended = false;
    this.progress();
  }

  /** The phase ended. */
  close(): void {
    this.cancel();
    this.#recover();
  }

  /** Ends the watchdog without a report. */
  cancel(): void {
    this.#deadlines.remove(this.#deadline);
  }

  readonly #warn = (): void => {
    this.#warnings += 1;
    this.#intervalMs = Math.max(this.#warnAfterMs, Math.min(this.#intervalMs * 2, MAX_INTERVAL_MS));
    this.#warnAt(this.#clock.monotonicMs() + this.#intervalMs);
    this.#listener.stuck(this.#clock.monotonicMs() - this.#beganMs);
  };

  #warnAt(dueMs: number): void {
    this.#deadlines.remove(this.#deadline);
    this.#deadline = this.#deadlines.add(dueMs - this.#clock.monotonicMs(), this.#warn);
  }

  #recover(): void {
    if (this.#warnings === 0) return;
    this.#warnings = 0;
    this.#listener.recovered(this.#clock.monotonicMs() - this.#beganMs);
  }
}
