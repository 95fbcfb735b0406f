/** Fewest deletions after which the entries move: below it a move costs more than it saves. */
const MIN_DELETIONS = 1_024;

/**
 * A Map for entries that come and go by the thousand.
 *
 * V8 grows and compacts a Map by replacing its table, and the old table points at the new one. Once a full garbage
 * collection has promoted one of them, collections of the young generation keep every later table with all that was
 * in it when it was replaced: measured, half of all attempts, copied twice each until the next full collection.
 * Entries therefore move to a new Map before the old one has replaced its table often.
 */
export class ChurnMap<K, V> {
  #map = new Map<K, V>();
  #deletions = 0;

  get size(): number {
    return this.#map.size;
  }

  get(key: K): V | undefined {
    return this.#map.get(key);
  }

  has(key: K): boolean {
    return this.#map.has(key);
  }

  set(key: K, value: V): this {
    if (this.#deletions >= Math.max(MIN_DELETIONS, this.#map.size)) {
      this.#map = new Map(this.#map);
      this.#deletions = 0;
    }
    this.#map.set(key, value);
    return this;
  }

  /** True when there was something to delete. */
  delete(key: K): boolean {
    if (!this.#map.delete(key)) return false;
    this.#deletions++;
    return true;
  }

  clear(): void {
    this.#map = new Map();
    this.#deletions = 0;
  }

  keys(): IterableIterator<K> {
    return this.#map.keys();
  }

  values(): IterableIterator<V> {
    return this.#map.values();
  }

  /** As a Map's, except for entries that are set or deleted meanwhile: either may appear or not. */
  [Symbol.iterator](): IterableIterator<[K, V]> {
    return this.#map[Symbol.iterator]();
  }
}
