/** The waiting tasks of a class that a scheduler holds in memory, in the order in which they are to be assigned. */
import { Heap, type Heaped } from "../heap.ts";
import { type Aged, goesBefore } from "./ageing.ts";

/** A task id that waits, as the window hands it out. */
export type WindowEntry = Aged;

/** The ids of one priority, ascending, with the times since when they have been ready. It is ordered by the first one. */
class Level implements Aged, Heaped {
  readonly priority: number;
  readonly ids: number[];
  readonly times: (number | undefined)[];
  place = -1;

  constructor(priority: number, id: number, readyAt: number | undefined) {
    this.priority = priority;
    this.ids = [id];
    this.times = [readyAt];
  }

  get id(): number {
    return this.ids[0] ?? 0;
  }

  get readyAt(): number | undefined {
    return this.times[0];
  }

  drop(ids: ReadonlySet<number>): void {
    let kept = 0;
    this.ids.forEach((id, index) => {
      if (ids.has(id)) return;
      this.ids[kept] = id;
      this.times[kept] = this.times[index];
      kept++;
    });
    this.ids.length = kept;
    this.times.length = kept;
  }

  entry(index: number): WindowEntry {
    const { priority } = this;
    const id = this.ids[index] ?? 0;
    const readyAt = this.times[index];
    return readyAt === undefined ? { id, priority } : { id, priority, readyAt };
  }
}

/**
 * The ids at the front of a class's queue: by priority with ageing, then lowest id. Pure memory; the store
 * has the truth, so an id that is no longer claimable costs one lost claim and nothing else.
 */
export class WaitingWindow {
  readonly #ageingMs: number;
  readonly #byPriority = new Map<number, Level>();
  /** The priority under which each id is kept. */
  readonly #ids = new Map<number, number>();
  /** Mostly there is one. */
  readonly #levels: Heap<Level>;

  /** @param ageingMs The wait that counts as much as one level of priority. */
  constructor(ageingMs = Number.POSITIVE_INFINITY) {
    this.#ageingMs = ageingMs;
    this.#levels = new Heap((one, other) => goesBefore(one, other, ageingMs));
  }

  get size(): number {
    return this.#ids.size;
  }

  /**
   * Adds an id in its place; false when it is there already. One with another priority is moved.
   *
   * @param since Since when it has been ready, where the entry does not have that.
   */
  add({ id, priority, readyAt: own }: WindowEntry, since?: number): boolean {
    const readyAt = own ?? since;
    const known = this.#ids.get(id);
    if (known === priority) return false;
    if (known !== undefined) this.#remove(id, known);
    this.#ids.set(id, priority);
    const level = this.#byPriority.get(priority);
    if (!level) {
      const made = new Level(priority, id, readyAt);
      this.#byPriority.set(priority, made);
      this.#levels.push(made);
    } else if (id > (level.ids.at(-1) ?? 0)) {
      level.ids.push(id);
      level.times.push(readyAt);
    } else {
      // An id that was committed late: rare, so a linear insert will do.
      const at = level.ids.findIndex((other) => other > id);
      level.ids.splice(at === -1 ? level.ids.length : at, 0, id);
      level.times.splice(at === -1 ? level.times.length : at, 0, readyAt);
      if (at === 0) this.#levels.moved(level);
    }
    return true;
  }

  has(id: number): boolean {
    return this.#ids.has(id);
  }

  /** How many go before this id; undefined when it is not in the window. */
  rank({ id }: Pick<WindowEntry, "id">): number | undefined {
    const priority = this.#ids.get(id);
    const level = priority === undefined ? undefined : this.#byPriority.get(priority);
    if (!level) return undefined;
    const own = level.entry(level.ids.indexOf(id));
    let before = 0;
    for (const other of this.#byPriority.values())
      for (let index = 0; index < other.ids.length; index++)
        if (goesBefore(other.entry(index), own, this.#ageingMs)) before++;
    return before;
  }

  /** The next id to assign. */
  peek(): WindowEntry | undefined {
    return this.#levels.first?.entry(0);
  }

  /** The first one of the highest priority; it is not the next one while another one goes first by its age. */
  top(): WindowEntry | undefined {
    let top: Level | undefined;
    for (const level of this.#byPriority.values()) if (!top || level.priority > top.priority) top = level;
    return top?.entry(0);
  }

  /** Takes the next id. */
  shift(): WindowEntry | undefined {
    const level = this.#levels.first;
    if (!level) return undefined;
    const entry = level.entry(0);
    level.ids.shift();
    level.times.shift();
    this.#ids.delete(entry.id);
    this.#changed(level);
    return entry;
  }

  /** Takes the next id for which this is so; undefined for none. Looks at every id before it. */
  takeFirst(wanted: (id: number) => boolean): WindowEntry | undefined {
    let best: { readonly level: Level; readonly at: number; readonly entry: WindowEntry } | undefined;
    for (const level of this.#byPriority.values()) {
      const at = level.ids.findIndex(wanted);
      if (at === -1) continue;
      const entry = level.entry(at);
      if (!best || goesBefore(entry, best.entry, this.#ageingMs)) best = { level, at, entry };
    }
    if (!best) return undefined;
    const { level, at, entry } = best;
    level.ids.splice(at, 1);
    level.times.splice(at, 1);
    this.#ids.delete(entry.id);
    this.#changed(level);
    return entry;
  }

  /** Removes ids that wait here no longer; true when it had one of them. */
  drop(ids: Iterable<number>): boolean {
    const dropped = new Set<number>();
    const levels = new Set<Level>();
    for (const id of ids) {
      const priority = this.#ids.get(id);
      const level = priority === undefined ? undefined : this.#byPriority.get(priority);
      if (!level) continue;
      dropped.add(id);
      levels.add(level);
      this.#ids.delete(id);
    }
    for (const level of levels) {
      level.drop(dropped);
      this.#changed(level);
    }
    return dropped.size > 0;
  }

  clear(): void {
    for (const level of this.#byPriority.values()) this.#levels.remove(level);
    this.#byPriority.clear();
    this.#ids.clear();
  }

  /** A submit replaced the task with one of another priority: rare, so a linear removal will do. */
  #remove(id: number, priority: number): void {
    const level = this.#byPriority.get(priority);
    if (!level) return;
    const at = level.ids.indexOf(id);
    level.ids.splice(at, 1);
    level.times.splice(at, 1);
    this.#changed(level);
  }

  #changed(level: Level): void {
    if (level.ids.length > 0) return this.#levels.moved(level);
    this.#levels.remove(level);
    this.#byPriority.delete(level.priority);
  }
}
