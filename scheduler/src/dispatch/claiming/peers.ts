/** Sends hints of new work to other schedulers. */
import type { Clock } from "../../clock.ts";
import type { SchedulerStore } from "../../store/store.ts";
import type { Logger } from "../../telemetry/logs/logger.ts";

/** Hints of new work are sent at most this often: each takes a global lock in Postgres at commit. */
const HINT_INTERVAL_MS = 20;

/** A notification holds at most 8,000 bytes. */
const CLASSES_A_HINT = 500;

/** Notifications in a row. */
const MAX_HINTS = 20;

/** The other schedulers on this database, and the hints that are sent to them. */
export class Peers {
  readonly #store: Pick<SchedulerStore, "notify">;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #classIds = new Set<number>();
  readonly #reordered = new Set<number>();
  #others = 0;
  #pending = false;

  constructor(store: Pick<SchedulerStore, "notify">, clock: Clock, log: Logger) {
    this.#store = store;
    this.#clock = clock;
    this.#log = log;
  }

  /** Other schedulers that lived when last looked. */
  get count(): number {
    return this.#others;
  }

  set count(others: number) {
    this.#others = others;
  }

  /** Sends the others, if there are any, a hint that tasks of these classes wait. Never throws. */
  hintWork(classIds: readonly number[]): void {
    this.#collect(this.#classIds, classIds);
  }

  /** Sends the others, if there are any, a hint that tasks of these classes have other priorities. Never throws. */
  hintOrder(classIds: readonly number[]): void {
    this.#collect(this.#reordered, classIds);
  }

  #collect(into: Set<number>, classIds: readonly number[]): void {
    if (this.#others === 0) return;
    for (const id of classIds) into.add(id);
    if (this.#pending) return;
    this.#pending = true;
    this.#clock.after(HINT_INTERVAL_MS, () => void this.#flush());
  }

  async #flush(): Promise<void> {
    const [waiting, reordered] = [[...this.#classIds], [...this.#reordered]];
    this.#classIds.clear();
    this.#reordered.clear();
    this.#pending = false;
    try {
      await this.#send("order", reordered);
      await this.#send("work", waiting);
    } catch (error) {
      this.#log.debug("peers.hint_failed", { error });
    }
  }

  async #send(kind: "work" | "order", ids: readonly number[]): Promise<void> {
    // Whoever gets no list looks at every class that it knows.
    if (ids.length > MAX_HINTS * CLASSES_A_HINT) return this.#store.notify({ kind, classIds: [] });
    for (let start = 0; start < ids.length; start += CLASSES_A_HINT)
      await this.#store.notify({ kind, classIds: ids.slice(start, start + CLASSES_A_HINT) });
  }
}
