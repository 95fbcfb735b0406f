/** Longest time from a dial to Welcome: the next dial may find the scheduler. */
const MAX_MS = 10_000;

/** Shortest such time, for a busy scheduler. */
const MIN_MS = 500;

/** Number of dials that fit into the grace, and into lease and grace together when the scheduler is slow. */
const DIALS_IN_GRACE = 4;
const DIALS_IN_ALL = 3;

/** Time in which the attempts of a disconnected worker can still be kept, in milliseconds. */
export interface DialWindow {
  readonly leaseMs: number;
  readonly graceMs: number;
}

/**
 * Timeout of dials. It is short while attempts can still be kept, so that a dead address costs little time. After a
 * timeout it doubles: with a fixed one, a scheduler that needs a little longer would never be reached.
 */
export class DialTimeout {
  readonly #timeouts = new Map<string, number>();

  /** Timeout of a dial of `address`, in milliseconds. */
  forDial(address: string, window: DialWindow | undefined): number {
    const first = window ? Math.max(MIN_MS, window.graceMs / DIALS_IN_GRACE) : MAX_MS;
    const most = window ? Math.max(first, (window.leaseMs + window.graceMs) / DIALS_IN_ALL) : MAX_MS;
    return Math.min(MAX_MS, most, first * 2 ** (this.#timeouts.get(address) ?? 0));
  }

  /** A dial of `address` timed out. */
  timedOut(address: string): void {
    this.#timeouts.set(address, Math.min(10, (this.#timeouts.get(address) ?? 0) + 1));
  }

  /** `address` answered. */
  answered(address: string): void {
    this.#timeouts.delete(address);
  }
}
