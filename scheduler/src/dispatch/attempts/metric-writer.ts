/** Writes what handlers measured, and counts how much it grows. */
import type { Clock } from "../../clock.ts";
import { isAbsence } from "../../domain/errors.ts";
import { formatAttemptId } from "../../domain/ids.ts";
import type { AttemptSums, MetricStore } from "../../store/store.ts";
import type { Logger } from "../../telemetry/logs/logger.ts";
import type { Counters } from "../../telemetry/metrics/counters.ts";
import { isLogDue } from "../../telemetry/metrics/growing.ts";

/** Most attempts in one statement: 32 sums each are half a MiB. */
const MAX_BATCH = 500;

/** Waits after the database was found away, doubling up to the last, milliseconds. */
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 2_000;

/**
 * Collects the latest sums of each attempt and writes them in batches: while one statement waits for the disk, later ones
 * collect. They are as many as the attempts that sessions hold. Never throws.
 */
export class MetricWriter {
  readonly #parts: MetricWriterParts;
  /** By attempt. */
  readonly #waiting = new Map<string, AttemptSums>();
  /** Those of the statement under way. */
  #beingWritten: readonly AttemptSums[] = [];
  #writing: Promise<boolean> | undefined;
  #failures = 0;
  #namesFull = false;
  #stopTimer: (() => void) | undefined;
  #stopped = false;

  constructor(parts: MetricWriterParts) {
    this.#parts = parts;
  }

  /** Takes the sums of an attempt that is current, in place of earlier ones. */
  put(sums: AttemptSums): void {
    this.#waiting.set(formatAttemptId(sums.key), sums);
    if (this.#stopTimer === undefined) void this.#write();
  }

  /**
   * Writes what waits of these tasks, before their ends are written: an end fences later sums off. Costs nothing when nothing
   * waits. When the database is away it gives up: the end cannot be written either.
   */
  async flushOf(taskIds: readonly number[]): Promise<void> {
    while (this.#holdsSome(taskIds)) if (!(await this.#write())) return;
  }

  /** Writes all that waits, likewise, before sessions end. */
  async flush(): Promise<void> {
    while (this.#waiting.size > 0 || this.#beingWritten.length > 0) if (!(await this.#write())) return;
  }

  /** Tries at once what waits for the database: it is back. */
  tryNow(): void {
    this.#endWait();
    void this.#write();
  }

  /** Writes what waits, when the database takes it, and then nothing more. Workers report the sums again to another scheduler. */
  async stop(): Promise<void> {
    this.#endWait();
    if (this.#waiting.size > 0) await this.#write();
    this.#stopped = true;
    this.#endWait();
    await this.#writing;
    this.#waiting.clear();
  }

  #holdsSome(taskIds: readonly number[]): boolean {
    if (this.#waiting.size === 0 && this.#beingWritten.length === 0) return false;
    const held = new Set([...this.#waiting.values(), ...this.#beingWritten].map(({ key }) => key.taskId));
    return taskIds.some((id) => held.has(id));
  }

  /** @returns False when some were not written: the database is away, or the scheduler stops. */
  #write(): Promise<boolean> {
    this.#writing ??= this.#writeBatches().finally(() => {
      this.#writing = undefined;
      this.#beingWritten = [];
    });
    return this.#writing;
  }

  async #writeBatches(): Promise<boolean> {
    // What arrives in the same turn goes together.
    await new Promise(setImmediate);
    while (this.#waiting.size > 0 && !this.#stopped) if (!(await this.#writeBatch())) return false;
    return this.#waiting.size === 0;
  }

  async #writeBatch(): Promise<boolean> {
    const { store, log, counters } = this.#parts;
    const batch = this.#take();
    this.#beingWritten = batch;
    try {
      for (const { classId, name, growth } of await store.addMetrics(batch))
        if (!counters.taskMetrics.add(counters.classes.of(classId), name, growth)) this.#full(name);
    } catch (error) {
      this.#failures++;
      if (isAbsence(error)) {
        for (const each of batch) this.#putBack(each);
        this.#waitForDatabase();
        return false;
      }
      // The next report of an attempt has all of its sums again.
      if (isLogDue(this.#failures)) log.error("task_metric.write_failed", { error, count: batch.length });
      return true;
    }
    this.#failures = 0;
    return true;
  }

  #full(name: string): void {
    if (this.#namesFull) return;
    this.#namesFull = true;
    const { log, counters } = this.#parts;
    log.warn("task_metric.names_limited", { name, limit: counters.taskMetrics.limit });
  }

  #take(): AttemptSums[] {
    const batch: AttemptSums[] = [];
    for (const [id, each] of this.#waiting) {
      if (batch.length === MAX_BATCH) break;
      batch.push(each);
      this.#waiting.delete(id);
    }
    return batch;
  }

  /** Newer ones of the attempt may have arrived meanwhile. */
  #putBack(each: AttemptSums): void {
    const id = formatAttemptId(each.key);
    if (!this.#waiting.has(id)) this.#waiting.set(id, each);
  }

  #waitForDatabase(): void {
    if (this.#stopped) return;
    this.#endWait();
    const wait = Math.min(FIRST_RETRY_MS * 2 ** Math.min(this.#failures - 1, 10), LAST_RETRY_MS);
    this.#stopTimer = this.#parts.clock.after(wait, () => {
      this.#stopTimer = undefined;
      void this.#write();
    });
  }

  #endWait(): void {
    this.#stopTimer?.();
    this.#stopTimer = undefined;
  }
}

export interface MetricWriterParts {
  readonly store: Pick<MetricStore, "addMetrics">;
  readonly clock: Pick<Clock, "after">;
  readonly log: Pick<Logger, "error" | "warn">;
  readonly counters: Pick<Counters, "classes" | "taskMetrics">;
}
