/** The token buckets of the fakes. */
import type { Clock } from "../../../clock.ts";
import {
  type BucketState,
  debtAfter,
  type Rate,
  type RateLimit,
  rateId,
  tokenCount,
} from "../../../domain/tasks/limits/rate-limit.ts";

interface Row extends Rate {
  readonly overrides: boolean;
  /** When it is full, monotonic milliseconds. */
  fullAt: number;
}

/** Token buckets in memory, by key. */
export class MemoryBuckets {
  readonly #clock: Pick<Clock, "monotonic">;
  readonly #rows = new Map<string, Row[]>();
  readonly #pausedUntil = new Map<string, number>();

  constructor(clock: Pick<Clock, "monotonic">) {
    this.#clock = clock;
  }

  /** Makes the bucket of a limit, full, unless there is one of its rate. */
  make(limit: RateLimit): void {
    if (!this.#own(limit)) this.#add(limit.key, limit, false);
  }

  /** Sets the operator's rate of a key, with a full bucket, or takes it back. */
  override(key: string, rate: Rate | undefined): void {
    this.#rows.set(
      key,
      this.#of(key).filter(({ overrides }) => !overrides),
    );
    if (rate) this.#add(key, rate, true);
  }

  /** Pauses a key, unless it is paused for longer, or ends its pause. */
  pause(key: string, ms: number | undefined): void {
    if (ms === undefined) this.#pausedUntil.delete(key);
    else
      this.#pausedUntil.set(
        key,
        Math.max(this.#pausedUntil.get(key) ?? Number.NEGATIVE_INFINITY, this.#clock.monotonic() + ms),
      );
  }

  /** Keys that are paused. */
  paused(): { key: string; leftMs: number }[] {
    return [...this.#pausedUntil.keys()].flatMap((key) => {
      const leftMs = this.#pausedMs(key);
      return leftMs > 0 ? [{ key, leftMs }] : [];
    });
  }

  #pausedMs(key: string): number {
    return Math.max(0, (this.#pausedUntil.get(key) ?? Number.NEGATIVE_INFINITY) - this.#clock.monotonic());
  }

  /** @param own The rate of the task; undefined for the key of a queue, which may have no bucket. */
  hasToken(key: string, own?: Rate): boolean {
    if (this.#pausedMs(key) > 0) return false;
    const row = this.#of(key).find(({ overrides }) => overrides) ?? (own && this.#own({ key, ...own }));
    return !row || tokenCount(row, this.#debtOf(row)) > 0;
  }

  /** Takes a token from every bucket of a key. */
  take(key: string): void {
    for (const row of this.#of(key))
      row.fullAt = this.#clock.monotonic() + debtAfter(row, this.#debtOf(row), 1);
  }

  states(key: string): BucketState[] {
    return this.#of(key).map((row) => {
      const { overrides, limit, periodMs, burst } = row;
      return {
        key,
        overrides,
        limit,
        periodMs,
        burst,
        debtMs: this.#debtOf(row),
        pausedMs: this.#pausedMs(key),
      };
    });
  }

  /** The buckets of the operator's rates. */
  overrides(): BucketState[] {
    return [...this.#rows.keys()].flatMap((key) => this.states(key).filter(({ overrides }) => overrides));
  }

  #debtOf({ fullAt }: Row): number {
    return Math.max(0, fullAt - this.#clock.monotonic());
  }

  #of(key: string): Row[] {
    return this.#rows.get(key) ?? [];
  }

  #own(limit: RateLimit): Row | undefined {
    return this.#of(limit.key).find((row) => !row.overrides && rateId(row) === rateId(limit));
  }

  #add(key: string, { limit, periodMs, burst }: Rate, overrides: boolean): void {
    const row = { limit, periodMs, burst, overrides, fullAt: Number.NEGATIVE_INFINITY };
    this.#rows.set(key, [...this.#of(key), row]);
  }
}
