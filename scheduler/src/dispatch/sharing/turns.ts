/** Yields the classes of one plan in their order, without those that no worker can take now. */
import type { ClassOrder } from "./class-order.ts";
import type { Ordered } from "./shares.ts";

/** After so many that nothing can be done for it is quicker to look for those for which something can. */
const MANY_SET_ASIDE = 64;

/** More are not compared one by one. */
const MAX_LEFT = 1_000;

/** What decides which classes a plan may assign. */
export interface Servable<T> {
  /** False when no worker that has credit serves its shape. */
  readonly isServed: (item: T) => boolean;
  /** False when a rule holds it back. */
  readonly isAdmitted: (item: T) => boolean;
}

export class Turns<T extends Ordered> {
  readonly #order: ClassOrder<T>;
  readonly #servable: Servable<T>;
  /** Shapes that no worker can take in this plan. */
  readonly #dropped = new Set<string>();
  #setAside = 0;
  /** The only classes that can be served, once that was found out. */
  #left: T[] | undefined;

  constructor(order: ClassOrder<T>, servable: Servable<T>) {
    this.#order = order;
    this.#servable = servable;
  }

  /** The class whose task goes first. */
  get first(): T | undefined {
    for (;;) {
      const first = this.#left ? this.#order.firstOf(this.#left) : this.#order.first;
      if (first === undefined) return undefined;
      if (!this.#isServed(first)) this.dropShape(first);
      else if (this.#servable.isAdmitted(first)) return first;
      else this.drop(first);
    }
  }

  /** It cannot be taken in this plan. */
  drop(item: T): void {
    if (this.#left) {
      this.#left = this.#left.filter((other) => other !== item);
      return;
    }
    this.#order.setAside(item);
    this.#look();
  }

  /** No worker can take it in this plan, nor another class of its shape. */
  dropShape(item: T): void {
    this.#dropped.add(item.shape);
    if (this.#left) {
      this.#left = this.#left.filter((other) => this.#isServed(other));
      return;
    }
    this.#order.setShapeAside(item);
    this.#look();
  }

  /** Ends the plan: what was set aside goes back into its place. */
  end(): void {
    this.#order.restore();
  }

  #isServed(item: T): boolean {
    return !this.#dropped.has(item.shape) && this.#servable.isServed(item);
  }

  #look(): void {
    if (++this.#setAside !== MANY_SET_ASIDE) return;
    const left = this.#order.active.filter((item) => this.#isServed(item) && this.#servable.isAdmitted(item));
    if (left.length <= MAX_LEFT) this.#left = left;
  }
}
