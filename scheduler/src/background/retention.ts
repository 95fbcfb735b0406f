/** Deletes rows that are older than their retention. */
import type { Store } from "../store/store.ts";
import type { Logger } from "../telemetry/logs/logger.ts";

/** Time between two runs, milliseconds. */
export const RETENTION_MS = 3_600_000;

/** The lead is held for this many runs. */
const LEAD_RUNS = 3;

/** Drops the partitions of ended tasks and of events that are older than the retention. One scheduler does it for all. */
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
  }
}

export interface RetentionParts {
  readonly store: Pick<Store, "lead" | "dropOld">;
  readonly schedulerId: string;
  readonly keepDays: number;
  readonly log: Pick<Logger, "info">;
}
