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
    if (this.#others === 0) return;
    for (const id of classIds) this.#classIds.add(id);
    if (this.#pending) return;
    this.#pending = true;
    this.#clock.after(HINT_INTERVAL_MS, () => void this.#flush());
  }

  async #flush(): Promise<void> {
    const ids = [...this.#classIds];
    this.#classIds.clear();
    this.#pending = false;
    try {
      // Whoever gets no list looks at every class that it knows.
      if (ids.length > MAX_HINTS * CLASSES_A_HINT) await this.#store.notify({ kind: "work", classIds: [] });
      else
        for (let start = 0; start < ids.length; start += CLASSES_A_HINT)
          await this.#store.notify({ kind: "work", classIds: ids.slice(start, start + CLASSES_A_HINT) });
    } catch (error) {
      this.#log.debug("peers.hint_failed", { error });
    }
  }
}
