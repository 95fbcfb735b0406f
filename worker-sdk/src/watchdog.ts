import type { Clock } from "./clock.ts";
import type { Deadline, Deadlines } from "./deadlines.ts";

/** Told by a watch. Times in milliseconds since the watched thing began. */
export interface WatchListener {
  /** It has lasted longer than the threshold, or than the next, twice as long, interval after it. */
  stuck(elapsedMs: number): void;
  /** It ended, or moved again, after having been reported as stuck. */
  recovered(elapsedMs: number): void;
}

/** A soft watchdog: it reports, again and again at growing intervals, and never acts. */
export class Watch {
  readonly #clock: Clock;
  readonly #deadlines: Deadlines;
  readonly #warnAfterMs: number;
  readonly #listener: WatchListener;
  readonly #beganMs: number;
  #intervalMs: number;
  #deadline: Deadline;
  #warned = false;

  constructor(clock: Clock, deadlines: Deadlines, warnAfterMs: number, listener: WatchListener) {
    this.#clock = clock;
    this.#deadlines = deadlines;
    this.#warnAfterMs = warnAfterMs;
    this.#listener = listener;
    this.#beganMs = clock.monotonicMs();
    this.#intervalMs = warnAfterMs;
    this.#deadline = deadlines.add(warnAfterMs, this.#warn);
  }

  /** It moves: the clock starts again, and a report that it is stuck is taken back. */
  progress(): void {
    this.#takeBack();
    this.#intervalMs = this.#warnAfterMs;
    this.#deadlines.remove(this.#deadline);
    this.#deadline = this.#deadlines.add(this.#warnAfterMs, this.#warn);
  }

  /** It ended. */
  close(): void {
    this.#deadlines.remove(this.#deadline);
    this.#takeBack();
  }

  readonly #warn = (): void => {
    this.#warned = true;
    this.#intervalMs *= 2;
    this.#deadline = this.#deadlines.add(this.#intervalMs, this.#warn);
    this.#listener.stuck(this.#clock.monotonicMs() - this.#beganMs);
  };

  #takeBack(): void {
    if (!this.#warned) return;
    this.#warned = false;
    this.#listener.recovered(this.#clock.monotonicMs() - this.#beganMs);
  }
}
