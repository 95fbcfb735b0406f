/** Most distinct values of a label: handlers choose codes and reasons, and a scrape must stay small. */
const MAX_VALUES = 50;

/** Longest value. */
const MAX_LENGTH = 100;

/** Counts by the value of a label. Values beyond the limit share `other`, which exists from the start. */
export class Tally {
  readonly #counts: Map<string, number>;

  /** @param known Values that exist from the start, at 0. */
  constructor(known: readonly string[] = []) {
    this.#counts = new Map(["other", ...known].map((value) => [value, 0]));
  }

  add(value: string, count = 1): void {
    const name = value.slice(0, MAX_LENGTH);
    const fits = this.#counts.has(name) || this.#counts.size <= MAX_VALUES;
    const kept = fits ? name : "other";
    this.#counts.set(kept, (this.#counts.get(kept) ?? 0) + count);
  }

  /** Every count by value. */
  counts(): Record<string, number> {
    return Object.fromEntries(this.#counts);
  }
}
