/** What handlers measured, by queue, type and name, with a limit of names. */
import type { ClassMeasures } from "./class-measures.ts";
import { OTHER } from "./tally.ts";

/** Names with a label of their own; handlers choose them. */
const MAX_NAMES = 50;

/** Sums since the scheduler started. Names that come after the limit share `other`. */
export class TaskMetricTally {
  readonly limit: number;
  readonly #names = new Set<string>();
  readonly #sums = new Map<ClassMeasures, Map<string, number>>();

  constructor(limit = MAX_NAMES) {
    this.limit = limit;
  }

  /** @returns False when the name shares `other`. */
  add(classMeasures: ClassMeasures, name: string, growth: number): boolean {
    const own = this.#names.has(name) || this.#names.size < this.limit;
    if (own) this.#names.add(name);
    const label = own ? name : OTHER;
    const sums = this.#sums.get(classMeasures) ?? new Map<string, number>();
    this.#sums.set(classMeasures, sums.set(label, (sums.get(label) ?? 0) + growth));
    return own;
  }

  *all(): Iterable<readonly [labels: { queue: string; type: string; name: string }, sum: number]> {
    // A rate needs a value before the first one.
    yield [{ queue: OTHER, type: OTHER, name: OTHER }, this.#otherOfOther()];
    for (const [{ queue, type }, sums] of this.#sums)
      for (const [name, sum] of sums)
        if (queue !== OTHER || type !== OTHER || name !== OTHER) yield [{ queue, type, name }, sum];
  }

  #otherOfOther(): number {
    let sum = 0;
    for (const [{ queue, type }, sums] of this.#sums)
      if (queue === OTHER && type === OTHER) sum += sums.get(OTHER) ?? 0;
    return sum;
  }
}
