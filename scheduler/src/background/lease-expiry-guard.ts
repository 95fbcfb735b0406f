import type { Clock } from "../clock.ts";

/**
 * Decides when this scheduler may judge workers by their leases. A scheduler that was stopped or starved, or
 * whose database was away, could not renew the leases of its workers, nor register those that came back, so it
 * waits for a full lease. A full disk shows why both count: renewals are written in place and succeed, while a
 * registration needs room.
 *
 * It judges as of its last renewal, by the database's clock: however long a judgement is then on its way, it
 * counts no time in which this scheduler could not renew.
 */
export class Judge {
  readonly #clock: Clock;
  readonly #leaseMs: number;
  readonly #maxGapMs: number;
  #lastTickAt: number;
  #lastRenewal: Date | undefined;
  #owedUntil: number;
  #databaseAway = false;

  /** @param maxGapMs A renewal that comes later than this after the one before counts as starved. */
  constructor(clock: Clock, leaseMs: number, maxGapMs: number) {
    this.#clock = clock;
    this.#leaseMs = leaseMs;
    this.#maxGapMs = maxGapMs;
    this.#lastTickAt = clock.monotonic();
    this.#owedUntil = this.#lastTickAt + leaseMs;
  }

  /** A renewal succeeded. Returns the gap when it was too long, milliseconds. @param at By the database's clock. */
  renewed(at: Date): number | undefined {
    this.#lastRenewal = at;
    const now = this.#clock.monotonic();
    const gap = now - this.#lastTickAt;
    this.#lastTickAt = now;
    if (gap <= this.#maxGapMs) return undefined;
    this.#owedUntil = now + this.#leaseMs;
    return gap;
  }

  /** The database went away, or is back. */
  databaseChanged(available: boolean): void {
    this.#databaseAway = !available;
    this.#owedUntil = this.#clock.monotonic() + this.#leaseMs;
  }

  /** The moment, by the database's clock, as of which expired leases mean something; undefined when they do not. */
  asOf(): Date | undefined {
    const now = this.#clock.monotonic();
    const may = !this.#databaseAway && now >= this.#owedUntil && now - this.#lastTickAt <= this.#maxGapMs;
    return may ? this.#lastRenewal : undefined;
  }
}
