/** Counts what happened in the last minute. */

const BUCKET_MS = 10_000;
const BUCKETS = 6;

/** Exact to ten seconds: six counts, of which the oldest is dropped when a new one begins. */
export class RecentCount {
  readonly #counts = new Uint32Array(BUCKETS);
  #last = 0;

  /** @param now Monotonic milliseconds. */
  add(now: number): void {
    const bucket = this.#turnTo(now);
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
  }

  read(now: number): number {
    this.#turnTo(now);
    return this.#counts.reduce((sum, count) => sum + count, 0);
  }

  #turnTo(now: number): number {
    const current = Math.floor(now / BUCKET_MS);
    for (let next = Math.max(this.#last + 1, current - BUCKETS + 1); next <= current; next++)
      this.#counts[next % BUCKETS] = 0;
    this.#last = Math.max(this.#last, current);
    return this.#last % BUCKETS;
  }
}
