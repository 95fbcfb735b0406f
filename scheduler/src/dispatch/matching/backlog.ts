/** Counts the waiting tasks of classes. */
import type { Clock } from "../../clock.ts";
import type { ClassStore } from "../../store/store.ts";
import type { ClassIndex } from "./class-index.ts";

/** Tasks counted of a class; beyond it there are "at least so many", which is all that a person asks. */
export const BACKLOG_LIMIT = 10_000;

/** How many tasks of each class could start now, counted in the store and kept for a moment. */
export class Backlog {
  readonly #store: Pick<ClassStore, "countWaiting">;
  readonly #classes: ClassIndex;
  readonly #clock: Clock;
  #counts: ReadonlyMap<number, number> = new Map();
  #readAt = Number.NEGATIVE_INFINITY;
  #reading: Promise<ReadonlyMap<number, number>> | undefined;

  constructor(parts: { store: Pick<ClassStore, "countWaiting">; classes: ClassIndex; clock: Clock }) {
    this.#store = parts.store;
    this.#classes = parts.classes;
    this.#clock = parts.clock;
  }

  /**
   * Counts by class id, classes without waiting tasks left out.
   *
   * @param maxAgeMs A count that is not older is good enough.
   * @throws DatabaseUnavailableError
   */
  async read(maxAgeMs: number): Promise<ReadonlyMap<number, number>> {
    if (this.#clock.monotonic() - this.#readAt <= maxAgeMs) return this.#counts;
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #read(): Promise<ReadonlyMap<number, number>> {
    const at = this.#clock.monotonic();
    const ids = Array.from(this.#classes.all(), ({ taskClass }) => taskClass.id);
    this.#counts = ids.length > 0 ? await this.#store.countWaiting(ids, BACKLOG_LIMIT) : new Map();
    this.#readAt = at;
    return this.#counts;
  }
}

/** `125`, or `10000+` when more were not counted. */
export function shownCount(count: number): string {
  return count >= BACKLOG_LIMIT ? `${BACKLOG_LIMIT}+` : String(count);
}
