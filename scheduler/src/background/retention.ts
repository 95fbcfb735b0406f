/** Deletes rows that are older than their retention. */
import type { Clock } from "../clock.ts";
import type { PurgeCursor, Store } from "../store/store.ts";
import type { Logger } from "../telemetry/logs/logger.ts";

/** Time between two runs, milliseconds. */
export const RETENTION_MS = 3_600_000;

/** Longest time in a row that ended tasks of queues are deleted, milliseconds. */
const PURGE_MS = 600_000;

/** The lead is held for this many runs. */
const LEAD_RUNS = 3;

/**
 * Drops the partitions of ended tasks and of events that are older than the retention, and deletes the ended tasks of queues
 * that have a shorter one. One scheduler does it for all.
 */
export class Retention {
  readonly #parts: RetentionParts;

  constructor(parts: RetentionParts) {
    this.#parts = parts;
  }

  /** @throws Error when a lock of another session is in the way. */
  async runOnce(): Promise<void> {
    const { store, schedulerId, keepDays, log } = this.#parts;
    if (!(await store.lead("retention", schedulerId, RETENTION_MS * LEAD_RUNS))) return;
    const dropped = await store.dropOld(keepDays);
    if (dropped === undefined)
      throw new Error(
        "partitions were not dropped, because another session holds a lock on them (a backup, a long query): tried again in an hour",
      );
    if (dropped > 0) log.info("retention.dropped", { partitions: dropped, keep_days: keepDays });
    await this.#purgeQueues();
  }

  /** Deletes ended tasks of queues with a retention of their own. What is left after a while is deleted by the next run. */
  async #purgeQueues(): Promise<void> {
    const { store, keepDays, clock, log } = this.#parts;
    const until = clock.monotonic() + PURGE_MS;
    const deleted = new Map<string, { tasks: number; keepDays: number }>();
    let cursor: PurgeCursor | undefined;
    do {
      const step = await store.purgeStep(keepDays, cursor);
      if (!step) break;
      ({ cursor } = step);
      const before = deleted.get(cursor.queue)?.tasks ?? 0;
      deleted.set(cursor.queue, { tasks: before + step.deleted, keepDays: step.keepDays });
    } while (clock.monotonic() < until);
    for (const [queue, { tasks, keepDays: days }] of deleted)
      if (tasks > 0) log.info("retention.queue_purged", { queue, tasks, keep_days: days });
  }
}

export interface RetentionParts {
  readonly store: Pick<Store, "lead" | "dropOld" | "purgeStep">;
  readonly clock: Pick<Clock, "monotonic">;
  readonly schedulerId: string;
  readonly keepDays: number;
  readonly log: Pick<Logger, "info">;
}
