/** Yields the classes of one plan in their order, without those that no worker can take now. */
import type { ClassOrder, Ordered } from "./class-order.ts";

/** After so many that nothing can be done for it is quicker to look for those for which something can. */
const MANY_SET_ASIDE = 64;

/** More are not compared one by one. */
const MAX_LEFT = 1_000;

export class Turns<T extends Ordered> {
  readonly #order: ClassOrder<T>;
  readonly #isServable: (item: T) => boolean;
  #setAside = 0;
  /** The only classes that can be served, once that was found out. */
  #left: T[] | undefined;

  constructor(order: ClassOrder<T>, isServable: (item: T) => boolean) {
    this.#order = order;
    this.#isServable = isServable;
  }

  /** The class whose task goes first. */
  get first(): T | undefined {
    for (;;) {
      const first = this.#left ? this.#order.firstOf(this.#left) : this.#order.first;
      if (first === undefined || this.#isServable(first)) return first;
      this.drop(first);
    }
  }

  /** No worker can take it in this plan. */
  drop(item: T): void {
    if (this.#left) {
      this.#left = this.#left.filter((other) => other !== item);
      return;
    }
    this.#order.setAside(item);
    if (++this.#setAside !== MANY_SET_ASIDE) return;
    const left = this.#order.active.filter(this.#isServable);
    if (left.length <= MAX_LEFT) this.#left = left;
  }

  /** Ends the plan: what was set aside goes back into its place. */
  end(): void {
    this.#order.restore();
  }
}
