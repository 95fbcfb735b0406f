/** Totals since the process started. */
export class Counters {
  readonly #totals = new Map<string, bigint>();

  /** Adds to a total. */
  add(name: string, count = 1): void {
    this.#totals.set(name, (this.#totals.get(name) ?? 0n) + BigInt(count));
  }

  /** Sets a total. */
  set(name: string, value: bigint): void {
    this.#totals.set(name, value);
  }

  /** Every total by name. */
  totals(): Record<string, bigint> {
    return Object.fromEntries(this.#totals);
  }
}
