/** What the worker has loaded (models, caches, ...). Tasks that require a resource wait for it. */
export class Resources implements Iterable<string> {
  readonly #names: Set<string>;
  readonly #changed: (names: readonly string[]) => void;

  constructor(names: Iterable<string>, changed: (names: readonly string[]) => void) {
    this.#names = new Set(names);
    this.#changed = changed;
  }

  /** Announces a resource: the scheduler is told at once. */
  add(name: string): void {
    if (this.#names.has(name)) return;
    this.#names.add(name);
    this.#changed([...this.#names]);
  }

  /** Takes a resource back: the scheduler is told at once. */
  remove(name: string): void {
    if (this.#names.delete(name)) this.#changed([...this.#names]);
  }

  has(name: string): boolean {
    return this.#names.has(name);
  }

  [Symbol.iterator](): IterableIterator<string> {
    return this.#names.values();
  }
}
