/** Decides when leases may be judged expired: not after this scheduler or the database's clock stood still or moved. */
import type { Clock } from "../../clock.ts";

/**
 * By this part of a lease the database's clock must have moved against this process's to count as set. Less ends no lease: of a
 * worker that sends heartbeats two thirds and the grace are left. More than that, a statement that waits looks like it.
 */
const SET_BY = 0.5;

/** Which leases may be called expired. */
export interface Expiry {
  /** As of when, by the database's clock. */
  readonly asOf: Date;
  /** Only those of sessions that are this scheduler's own: the workers of others may still be on their way to it. */
  readonly ownOnly: boolean;
}

/** What was wrong before a renewal; undefined for what was not. */
export interface RenewalTrouble {
  /** The gap before it, when that was too long, milliseconds. */
  readonly starvedMs: number | undefined;
  /** By how much the database's clock was set since the renewal before; negative when it was set back, milliseconds. */
  readonly clockSetMs: number | undefined;
}

/**
 * Decides when an expired lease means a lost worker. A scheduler that was stopped or starved, or whose database was
 * away, could not renew the leases of its workers, nor register those that came back, so it first grants them a full
 * lease. A full disk shows why both count: renewals are written in place and succeed, while a registration needs room.
 * After a start it owes none to workers that have registered with it since: it was there for them all the time.
 *
 * When the database's clock is set forward, the leases of other schedulers' workers seem to be over until they are renewed: it
 * grants a full lease then, too.
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
  /** Until when the workers of schedulers that ended before the start have time to register. */
  readonly #startOwedUntil: number;
  #owedUntil = Number.NEGATIVE_INFINITY;
  #databaseAway = false;

  /** @param maxGapMs A renewal that comes later than this after the one before counts as starved. */
  constructor(clock: Clock, leaseMs: number, maxGapMs: number) {
    this.#clock = clock;
    this.#leaseMs = leaseMs;
    this.#maxGapMs = maxGapMs;
    this.#lastTickAt = clock.monotonic();
    this.#startOwedUntil = this.#lastTickAt + leaseMs;
  }

  /** Records a renewal. @param at By the database's clock. */
  noteRenewal(at: Date): RenewalTrouble {
    const before = this.#lastRenewal;
    this.#lastRenewal = at;
    const now = this.#clock.monotonic();
    const gap = now - this.#lastTickAt;
    this.#lastTickAt = now;
    const clockSetMs = before ? at.getTime() - before.getTime() - gap : 0;
    const wasStarved = gap > this.#maxGapMs;
    const wasSet = Math.abs(clockSetMs) > this.#leaseMs * SET_BY;
    if (wasStarved || wasSet) this.#owedUntil = now + this.#leaseMs;
    return { starvedMs: wasStarved ? gap : undefined, clockSetMs: wasSet ? clockSetMs : undefined };
  }

  /** The database went away, or is back. */
  databaseChanged(available: boolean): void {
    this.#databaseAway = !available;
    this.#owedUntil = this.#clock.monotonic() + this.#leaseMs;
  }

  /** Which leases may be called expired now; undefined when none may be. */
  expiry(): Expiry | undefined {
    const now = this.#clock.monotonic();
    const may = !this.#databaseAway && now >= this.#owedUntil && now - this.#lastTickAt <= this.#maxGapMs;
    if (!may || !this.#lastRenewal) return undefined;
    return { asOf: this.#lastRenewal, ownOnly: now < this.#startOwedUntil };
  }
}
