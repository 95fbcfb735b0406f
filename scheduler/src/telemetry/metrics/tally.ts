/** Counts by label, with a limit of labels. */
import { cut } from "@muster/common/text/text";
/** What label values beyond a limit are called. */
export const OTHER = "other";

/** Longest label value; codes come from handlers, and a message given as a code must not fill the memory. */
const MAX_LENGTH = 100;

/** Counts by the values of one label. Values that come after the limit share `other`. */
export class Tally implements Iterable<readonly [value: string, count: number]> {
  readonly #counts: Map<string, number>;
  readonly #limit: number;

  /**
   * @param limit Distinct values, `other` not counted.
   * @param known Values that exist from the start, at 0: a rate needs a value before the first event.
   */
  constructor(limit: number, known: readonly string[] = []) {
    this.#limit = limit;
    this.#counts = new Map([OTHER, ...known].map((value) => [value, 0]));
  }

  add(value: string, count = 1): void {
    const name = cut(value, MAX_LENGTH);
    const known = this.#counts.get(name);
    if (known !== undefined) this.#counts.set(name, known + count);
    // `other` is always there.
    else if (this.#counts.size <= this.#limit) this.#counts.set(name, count);
    else this.#counts.set(OTHER, (this.#counts.get(OTHER) ?? 0) + count);
  }

  [Symbol.iterator](): Iterator<readonly [string, number]> {
    return this.#counts.entries();
  }
}
