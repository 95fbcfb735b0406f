import type { WindowEntry } from "../domain/window.ts";

/** What stands in line: something whose front may change after it was looked at first. */
export interface Standing {
  readonly window: { peek(): WindowEntry | undefined };
}

/**
 * Classes in the order of their fronts: highest priority, then oldest. Comparing all of a
 * thousand classes for every task of a claim would be a million comparisons a claim.
 */
export class Line<T extends Standing> {
  /** The first in line is the last here, where taking it out and putting it back are cheap. */
  readonly #standing: { readonly item: T; readonly front: WindowEntry }[] = [];

  /** Leaves out what has nothing to give. */
  constructor(items: Iterable<T>) {
    for (const item of items) {
      const front = item.window.peek();
      if (front) this.#standing.push({ item, front });
    }
    this.#standing.sort((a, b) => (goesBefore(a.front, b.front) ? 1 : -1));
  }

  get first(): T | undefined {
    return this.#standing.at(-1)?.item;
  }

  /** The first one's front was taken: it goes where its new front belongs. */
  requeueFirst(): void {
    const item = this.#standing.pop()?.item;
    const front = item?.window.peek();
    if (item === undefined || front === undefined) return;
    let low = 0;
    let high = this.#standing.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const other = this.#standing[middle];
      if (other && goesBefore(other.front, front)) high = middle;
      else low = middle + 1;
    }
    this.#standing.splice(low, 0, { item, front });
  }

  /** The first one can be given to nobody. */
  dropFirst(): void {
    this.#standing.pop();
  }
}

function goesBefore(one: WindowEntry, other: WindowEntry): boolean {
  return one.priority > other.priority || (one.priority === other.priority && one.id < other.id);
}
