import type { Clock } from "../../clock.ts";

/**
 * Decides when an expired lease means a lost worker. A scheduler that was stopped or starved, or whose database was
 * away, could not renew the leases of its workers, nor register those that came back, so it first grants them a full
 * lease. A full disk shows why both count: renewals are written in place and succeed, while a registration needs room.
 *
 * Expiry is measured as of the last renewal, by the database's clock: time in which this scheduler could not renew
 * never counts, however long the reaper's statement takes.
 */
export class LeaseExpiryGuard {
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

  /** Records a renewal. Returns the gap before it when that was too long, milliseconds. @param at By the database's clock. */
  noteRenewal(at: Date): number | undefined {
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

  /** As of when a lease may be called expired, by the database's clock; undefined when none may be. */
  expiryTime(): Date | undefined {
    const now = this.#clock.monotonic();
    const may = !this.#databaseAway && now >= this.#owedUntil && now - this.#lastTickAt <= this.#maxGapMs;
    return may ? this.#lastRenewal : undefined;
  }
}
