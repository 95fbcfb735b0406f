/** Writes what handlers measured, and counts how much it grows. */
import type { Clock } from "../../../clock.ts";
import { formatAttemptId } from "../../../domain/ids.ts";
import type { AttemptSums, MetricStore } from "../../../store/store.ts";
import type { Logger } from "../../../telemetry/logs/logger.ts";
import type { Counters } from "../../../telemetry/metrics/counters.ts";
import { isLogDue } from "../../../telemetry/metrics/growing.ts";
import { LatestWrites } from "./latest-writes.ts";

/** Bytes of the sums of an attempt with 32 names of 64 characters, at most: 500 attempts are half a MiB. */
const SUMS_BYTES = 1_024;

/** Writes the latest sums of each attempt: as many as the attempts that sessions hold. Never throws. */
export class MetricWriter {
  readonly #parts: MetricWriterParts;
  /** By attempt. */
  readonly #writes: LatestWrites<string, AttemptSums>;
  #namesFull = false;

  constructor(parts: MetricWriterParts) {
    this.#parts = parts;
    this.#writes = new LatestWrites({
      clock: parts.clock,
      keyOf: ({ key }) => formatAttemptId(key),
      taskIdOf: ({ key }) => key.taskId,
      bytesOf: () => SUMS_BYTES,
      write: (batch) => this.#store(batch),
      // The next report of an attempt has all of its sums again.
      onRefused: ({ batch, error, failures }) => {
        if (isLogDue(failures)) parts.log.error("task_metric.write_failed", { error, count: batch.length });
      },
    });
  }

  /** Takes the sums of an attempt that is current, in place of earlier ones. */
  put(sums: AttemptSums): void {
    this.#writes.put(sums);
  }

  /** Writes what waits of these tasks, before their ends are written. */
  flushOf(taskIds: readonly number[]): Promise<void> {
    return this.#writes.flushOf(taskIds);
  }

  /** Writes all that waits, before sessions end. */
  flush(): Promise<void> {
    return this.#writes.flush();
  }

  /** Tries at once what waits for the database: it is back. */
  tryNow(): void {
    void this.#writes.tryNow();
  }

  /** Writes what waits, when the database takes it, and then nothing more. Workers report the sums again to another scheduler. */
  async stop(): Promise<void> {
    await this.#writes.tryNow();
    await this.#writes.stop();
  }

  async #store(batch: readonly AttemptSums[]): Promise<void> {
    const { store, counters } = this.#parts;
    for (const { classId, name, growth } of await store.addMetrics(batch))
      if (!counters.taskMetrics.add(counters.classes.of(classId), name, growth)) this.#full(name);
  }

  #full(name: string): void {
    if (this.#namesFull) return;
    this.#namesFull = true;
    const { log, counters } = this.#parts;
    log.warn("task_metric.names_limited", { name, limit: counters.taskMetrics.limit });
  }
}

export interface MetricWriterParts {
  readonly store: Pick<MetricStore, "addMetrics">;
  readonly clock: Pick<Clock, "after">;
  readonly log: Pick<Logger, "error" | "warn">;
  readonly counters: Pick<Counters, "classes" | "taskMetrics">;
}
