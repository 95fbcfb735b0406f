/** A task id that waits, as the window hands it out. */
export interface WindowEntry {
  readonly id: number;
  readonly priority: number;
}

/**
 * The ids at the front of a class's queue: highest priority first, then lowest id. Pure memory; the store
 * has the truth, so an id that is no longer claimable costs one lost claim and nothing else.
 */
export class WaitingWindow {
  readonly #byPriority = new Map<number, number[]>();
  /** The priority under which each id is kept. */
  readonly #ids = new Map<number, number>();
  #priorities: number[] = [];

  get size(): number {
    return this.#ids.size;
  }

  /** Adds an id in its place; false when it is there already. One with another priority is moved. */
  add({ id, priority }: WindowEntry): boolean {
    const known = this.#ids.get(id);
    if (known === priority) return false;
    if (known !== undefined) this.#remove(id, known);
    this.#ids.set(id, priority);
    const ids = this.#byPriority.get(priority);
    if (!ids) {
      this.#byPriority.set(priority, [id]);
      this.#priorities = [...this.#byPriority.keys()].sort((a, b) => b - a);
    } else if (id > (ids.at(-1) ?? 0)) {
      ids.push(id);
    } else {
      // An id that was committed late: rare, so a linear insert will do.
      const at = ids.findIndex((other) => other > id);
      ids.splice(at === -1 ? ids.length : at, 0, id);
    }
    return true;
  }

  has(id: number): boolean {
    return this.#ids.has(id);
  }

  /** How many go before this id; undefined when it is not in the window. */
  rank({ id }: Pick<WindowEntry, "id">): number | undefined {
    const priority = this.#ids.get(id);
    if (priority === undefined) return undefined;
    let before = 0;
    for (const [other, ids] of this.#byPriority) {
      if (other > priority) before += ids.length;
      else if (other === priority) before += ids.indexOf(id);
    }
    return before;
  }

  /** The next id to assign. */
  peek(): WindowEntry | undefined {
    for (const priority of this.#priorities) {
      const id = this.#byPriority.get(priority)?.[0];
      if (id !== undefined) return { id, priority };
    }
    return undefined;
  }

  /** Takes the next id. */
  shift(): WindowEntry | undefined {
    const entry = this.peek();
    if (!entry) return undefined;
    const ids = this.#byPriority.get(entry.priority);
    ids?.shift();
    this.#ids.delete(entry.id);
    if (ids?.length === 0) this.#forget(entry.priority);
    return entry;
  }

  clear(): void {
    this.#byPriority.clear();
    this.#ids.clear();
    this.#priorities = [];
  }

  /** A submit replaced the task with one of another priority: rare, so a linear removal will do. */
  #remove(id: number, priority: number): void {
    const ids = this.#byPriority.get(priority);
    ids?.splice(ids.indexOf(id), 1);
    if (ids?.length === 0) this.#forget(priority);
  }

  #forget(priority: number): void {
    this.#byPriority.delete(priority);
    this.#priorities = this.#priorities.filter((other) => other !== priority);
  }
}
