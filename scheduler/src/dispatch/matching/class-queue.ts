/** Ranks classes by the task at their front. */
import type { WindowEntry } from "../../domain/tasks/window.ts";

/** What a queue ranks: something whose front may change after it was looked at first. */
export interface Ranked {
  readonly window: { peek(): WindowEntry | undefined };
}

interface Placed<T> {
  readonly item: T;
  readonly front: WindowEntry;
}

/**
 * Classes in the order of their fronts: highest priority, then oldest. Comparing all of a
 * thousand classes for every task of a claim would be a million comparisons a claim. A heap, because mostly
 * few of them are asked for: to sort 60,000 took 50 ms, to make the heap takes 2.
 */
export class ClassQueue<T extends Ranked> {
  /** Each goes before the two at twice its place. */
  readonly #heap: Placed<T>[] = [];

  /** Leaves out what has no task. */
  constructor(items: Iterable<T>) {
    for (const item of items) {
      const front = item.window.peek();
      if (front) this.#heap.push({ item, front });
    }
    for (let place = (this.#heap.length >>> 1) - 1; place >= 0; place--) this.#sink(place);
  }

  get first(): T | undefined {
    return this.#heap[0]?.item;
  }

  /** Everything that is still in the queue, in no order. */
  *rest(): Iterable<T> {
    for (const { item } of this.#heap) yield item;
  }

  /** The first one's front was taken: it goes where its new front belongs. */
  requeueFirst(): void {
    const item = this.#heap[0]?.item;
    const front = item?.window.peek();
    if (item === undefined || front === undefined) return this.dropFirst();
    this.#heap[0] = { item, front };
    this.#sink(0);
  }

  /** No session can take the first one. */
  dropFirst(): void {
    const last = this.#heap.pop();
    if (last === undefined || this.#heap.length === 0) return;
    this.#heap[0] = last;
    this.#sink(0);
  }

  #sink(from: number): void {
    const heap = this.#heap;
    const placed = heap[from];
    if (placed === undefined) return;
    let place = from;
    for (;;) {
      let next = 2 * place + 1;
      let below = heap[next];
      const right = heap[next + 1];
      if (below === undefined) break;
      if (right !== undefined && goesBefore(right.front, below.front)) {
        next++;
        below = right;
      }
      if (!goesBefore(below.front, placed.front)) break;
      heap[place] = below;
      place = next;
    }
    heap[place] = placed;
  }
}

function goesBefore(one: WindowEntry, other: WindowEntry): boolean {
  return one.priority > other.priority || (one.priority === other.priority && one.id < other.id);
}
