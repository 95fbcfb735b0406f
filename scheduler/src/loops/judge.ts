import type { Clock } from "../clock.ts";

/**
 * Says when this scheduler may judge workers by their leases. A scheduler that was stopped or starved, or
 * whose database was away, could not renew what its workers' beats earned, so it owes them a full lease.
 */
export class Judge {
  readonly #clock: Clock;
  readonly #leaseMs: number;
  readonly #maxGapMs: number;
  #lastTickAt: number;
  #owedUntil: number;

  /** @param maxGapMs A renewal that comes later than this after the one before counts as starved. */
  constructor(clock: Clock, leaseMs: number, maxGapMs: number) {
    this.#clock = clock;
    this.#leaseMs = leaseMs;
    this.#maxGapMs = maxGapMs;
    this.#lastTickAt = clock.monotonic();
    this.#owedUntil = this.#lastTickAt + leaseMs;
  }

  /** A renewal succeeded. Returns the gap when it was too long, milliseconds. */
  renewed(): number | undefined {
    const now = this.#clock.monotonic();
    const gap = now - this.#lastTickAt;
    this.#lastTickAt = now;
    if (gap <= this.#maxGapMs) return undefined;
    this.#owedUntil = now + this.#leaseMs;
    return gap;
  }

  /** True when expired leases mean something. */
  mayJudge(): boolean {
    const now = this.#clock.monotonic();
    return now >= this.#owedUntil && now - this.#lastTickAt <= this.#maxGapMs;
  }
}
