/** Source of numbers from 0 (inclusive) to 1 (exclusive). */
export type Random = () => number;

/** How waits between dials grow. */
export interface BackoffOptions {
  /** Ceiling of the first wait in milliseconds; default 1000. */
  readonly baseMs?: number;
  /** Ceiling of every wait in milliseconds; default 30,000. */
  readonly maxMs?: number;
  /** Default `Math.random`. */
  readonly random?: Random;
}

/**
 * Full jitter: the n-th wait is `random(0, min(max, base * 2^n))`, n from 0. Spreads a fleet that lost
 * its scheduler in one moment over the whole wait, where plain doubling would bring it back as a herd.
 */
export class Backoff {
  readonly #baseMs: number;
  readonly #maxMs: number;
  readonly #random: Random;
  #failures = 0;

  constructor(options: BackoffOptions = {}) {
    this.#baseMs = options.baseMs ?? 1000;
    this.#maxMs = options.maxMs ?? 30_000;
    this.#random = options.random ?? Math.random;
  }

  /** Waits drawn since the last reset. */
  get failures(): number {
    return this.#failures;
  }

  /**
   * Draws the next wait in milliseconds.
   * @param capMs A lower ceiling for this wait. A wait that it shortens does not make later ones longer:
   * many short waits would otherwise be followed by the longest one.
   */
  next(capMs = this.#maxMs): number {
    // 2^40 ms is 34 years: past it only overflow is left to prevent.
    const ceiling = Math.min(this.#maxMs, this.#baseMs * 2 ** Math.min(this.#failures, 40));
    if (capMs < ceiling) return this.#random() * capMs;
    this.#failures += 1;
    return this.#random() * ceiling;
  }

  /** Starts again from the first wait. */
  reset(): void {
    this.#failures = 0;
  }
}
