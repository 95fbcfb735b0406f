/** Finds a class of the fakes by its key: a test with 10,000 classes would compare 50 million keys otherwise. */
import type { TaskClass } from "../../../domain/matching/match.ts";

/** An index of a list of classes, whose entries a test may add and replace. */
export class ClassPlaces {
  readonly #classes: readonly TaskClass[];
  readonly #placeOf = new Map<string, number>();
  #indexed = 0;

  constructor(classes: readonly TaskClass[]) {
    this.#classes = classes;
  }

  /** The first class with the key. */
  find(key: string, keyOf: (each: TaskClass) => string): TaskClass | undefined {
    for (; this.#indexed < this.#classes.length; this.#indexed++) {
      const added = this.#classes[this.#indexed];
      if (!added) continue;
      const own = keyOf(added);
      if (!this.#placeOf.has(own)) this.#placeOf.set(own, this.#indexed);
    }
    const found = this.#classes[this.#placeOf.get(key) ?? -1];
    // A replaced entry has another key.
    return found && keyOf(found) === key ? found : undefined;
  }
}
