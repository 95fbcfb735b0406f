/** A dial that has not led to Welcome after this long is given up: the next one may find the scheduler. */
const MAX_MS = 10_000;

/** A busy scheduler is given at least this long. */
const MIN_MS = 500;

/** Dials that fit into the grace of a dropped stream, and into lease and grace together when the scheduler is slow. */
const DIALS_IN_GRACE = 4;
const DIALS_IN_ALL = 3;

/** The time in which a dropped worker's attempts can still be kept, milliseconds. */
export interface DialWindow {
  readonly leaseMs: number;
  readonly graceMs: number;
}

/**
 * How long a dial may take. Short while there is something to keep, so that a dead address costs little; but a
 * scheduler that was too slow is given twice as long the next time: with the same limit again and again, one
 * that needs a moment longer than the limit would never be reached, and do its part in vain each time.
 */
export class DialTimeout {
  readonly #timeouts = new Map<string, number>();

  /** Milliseconds until a dial of `address` is given up. */
  forDial(address: string, window: DialWindow | undefined): number {
    const first = window ? Math.max(MIN_MS, window.graceMs / DIALS_IN_GRACE) : MAX_MS;
    const most = window ? Math.max(first, (window.leaseMs + window.graceMs) / DIALS_IN_ALL) : MAX_MS;
    return Math.min(MAX_MS, most, first * 2 ** (this.#timeouts.get(address) ?? 0));
  }

  /** A dial of `address` was given up. */
  timedOut(address: string): void {
    this.#timeouts.set(address, Math.min(10, (this.#timeouts.get(address) ?? 0) + 1));
  }

  /** `address` answered. */
  answered(address: string): void {
    this.#timeouts.delete(address);
  }
}
