/** A binary heap whose items have their place in it, so that one that changed is moved without a search. */

/** Something that is in one heap at most. */
export interface Heaped {
  /** Its place in the heap; -1 while it is in none. */
  place: number;
}

export class Heap<T extends Heaped> {
  /** Each goes before the two at twice its place. */
  readonly #items: T[] = [];
  readonly #goesBefore: (one: T, other: T) => boolean;

  constructor(goesBefore: (one: T, other: T) => boolean) {
    this.#goesBefore = goesBefore;
  }

  get first(): T | undefined {
    return this.#items[0];
  }

  get size(): number {
    return this.#items.length;
  }

  /** All items, in no order. */
  get items(): Iterable<T> {
    return this.#items;
  }

  push(item: T): void {
    item.place = this.#items.length;
    this.#items.push(item);
    this.#rise(item);
  }

  /** What the order rests on changed in this item. One that is in no heap stays so. */
  moved(item: T): void {
    if (item.place < 0) return;
    const before = item.place;
    this.#rise(item);
    if (item.place === before) this.#sink(item);
  }

  remove(item: T): void {
    const { place } = item;
    if (place < 0) return;
    const last = this.#items.pop();
    item.place = -1;
    if (last === undefined || last === item) return;
    last.place = place;
    this.#items[place] = last;
    this.moved(last);
  }

  #rise(item: T): void {
    const items = this.#items;
    let { place } = item;
    while (place > 0) {
      const above = (place - 1) >>> 1;
      const other = items[above];
      if (other === undefined || !this.#goesBefore(item, other)) break;
      items[place] = other;
      other.place = place;
      place = above;
    }
    items[place] = item;
    item.place = place;
  }

  #sink(item: T): void {
    const items = this.#items;
    let { place } = item;
    for (;;) {
      let next = 2 * place + 1;
      let below = items[next];
      const right = items[next + 1];
      if (below === undefined) break;
      if (right !== undefined && this.#goesBefore(right, below)) {
        next++;
        below = right;
      }
      if (!this.#goesBefore(below, item)) break;
      items[place] = below;
      below.place = place;
      place = next;
    }
    items[place] = item;
    item.place = place;
  }
}
