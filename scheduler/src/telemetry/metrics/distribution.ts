/** Seconds that people wait for: queues and runs, from milliseconds to a day. */
export const LONG_BUCKETS: readonly number[] = [
  0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 14_400, 86_400,
];

/** Seconds that machines take: messages and statements, up to the statement timeout. */
export const SHORT_BUCKETS: readonly number[] = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15,
];

/**
 * Values counted in explicit buckets. The hot path records here and OpenTelemetry reads it when it collects:
 * a value costs 5 ns, where its histogram instrument takes 370 ns with two labels.
 */
export class Distribution {
  /** Upper bounds, each within its bucket; a last bucket takes what is above. */
  readonly bounds: readonly number[];
  readonly #counts: number[];
  #sum = 0;
  #count = 0;

  /** @param bounds Ascending. */
  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.#counts = new Array<number>(bounds.length + 1).fill(0);
  }

  get sum(): number {
    return this.#sum;
  }

  get count(): number {
    return this.#count;
  }

  /** How many fell into each bucket; one more than there are bounds. */
  get counts(): readonly number[] {
    return this.#counts;
  }

  /** Adds a value `times` over; what a clock that went back makes negative counts as 0. */
  record(value: number, times = 1): void {
    const { bounds } = this;
    let low = 0;
    let high = bounds.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (value > (bounds[middle] ?? 0)) low = middle + 1;
      else high = middle;
    }
    this.#counts[low] = (this.#counts[low] ?? 0) + times;
    this.#sum += Math.max(0, value) * times;
    this.#count += times;
  }
}
