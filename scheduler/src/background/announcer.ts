import type { Dispatch } from "../dispatch/dispatch.ts";
import type { SchedulerStatus } from "../domain/reports.ts";
import type { Announcement, Store } from "../store/store.ts";

/** Announces that this scheduler lives, with its status, and counts the others on this database. */
export class Announcer {
  readonly #parts: AnnouncerParts;

  constructor(parts: AnnouncerParts) {
    this.#parts = parts;
  }

  /** @throws DatabaseUnavailableError */
  async runOnce(): Promise<void> {
    const { store, scheduler, status, leaseMs, peers } = this.#parts;
    await store.announce({ ...scheduler, status: status() }, leaseMs);
    peers.count = (await store.otherSchedulers(scheduler.id)).length;
  }
}

export interface AnnouncerParts {
  readonly store: Pick<Store, "announce" | "otherSchedulers">;
  readonly scheduler: Omit<Announcement, "status">;
  readonly status: () => SchedulerStatus;
  /** A scheduler that has not announced itself for this long counts as dead, milliseconds. */
  readonly leaseMs: number;
  readonly peers: Pick<Dispatch["peers"], "count">;
}
