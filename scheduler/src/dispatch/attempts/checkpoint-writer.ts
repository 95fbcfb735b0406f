/** Writes checkpoints that workers report, and answers when they are durable. */
import type { Clock } from "../../clock.ts";
import { isAbsence } from "../../domain/errors.ts";
import type { AttemptKey } from "../../domain/ids.ts";
import type { CheckpointStore, NewCheckpoint } from "../../store/store.ts";
import type { Logger } from "../../telemetry/logs/logger.ts";
import { isLogDue } from "../../telemetry/metrics/growing.ts";
import type { TaskSignals } from "../following/task-signals.ts";
import type { CheckpointAck } from "../sessions/link.ts";
import type { Session } from "../sessions/session.ts";

/** Most bytes that wait while the database is away or slow; a checkpoint beyond it is refused, and its handler gets the error. */
const MAX_WAITING_BYTES = 64 * 1024 * 1024;

/** Most bytes and checkpoints in one statement; a single larger one goes alone. */
const MAX_BATCH_BYTES = 4 * 1024 * 1024;
const MAX_BATCH = 500;

/** Waits after the database was found away, doubling up to the last, milliseconds. */
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 2_000;

interface Waiting {
  readonly session: Session;
  readonly checkpoint: NewCheckpoint;
}

/**
 * Collects the latest checkpoint of each task and writes them in batches: while one statement waits for the disk, later ones
 * collect. Never throws: the worker gets the answer.
 */
export class CheckpointWriter {
  readonly #parts: CheckpointWriterParts;
  /** By task. */
  readonly #waiting = new Map<number, Waiting>();
  #waitingBytes = 0;
  /** Those of the statement under way. */
  #beingWritten: readonly Waiting[] = [];
  #writing: Promise<boolean> | undefined;
  #failures = 0;
  #stopTimer: (() => void) | undefined;
  #stopped = false;

  constructor(parts: CheckpointWriterParts) {
    this.#parts = parts;
  }

  /** Takes a checkpoint of an attempt that is the session's. One that waits for the same task is not written any more. */
  put(session: Session, checkpoint: NewCheckpoint): void {
    const { key, sequence, value } = checkpoint;
    const older = this.#waiting.get(key.taskId)?.checkpoint;
    if (older?.key.epoch === key.epoch && older.sequence >= sequence) return;
    const bytes = this.#waitingBytes - (older?.value.byteLength ?? 0) + value.byteLength;
    if (bytes > MAX_WAITING_BYTES) {
      const error = `${MAX_WAITING_BYTES / 1024 / 1024} MiB of checkpoints wait for the database`;
      answer(session, { key, sequence, error });
      return;
    }
    this.#waitingBytes = bytes;
    this.#waiting.set(key.taskId, { session, checkpoint });
    if (this.#stopTimer === undefined) void this.#write();
  }

  /**
   * Writes what waits of these tasks, before their ends are written: an end fences later checkpoints off. Costs nothing when
   * nothing waits. When the database is away it gives up: the end cannot be written either.
   */
  async flushOf(taskIds: readonly number[]): Promise<void> {
    while (this.#holdsSome(taskIds)) if (!(await this.#write())) return;
  }

  /** Tries at once what waits for the database: it is back. */
  tryNow(): void {
    this.#endWait();
    void this.#write();
  }

  /** Writes nothing more. Workers send what was not answered to another scheduler. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#endWait();
    await this.#writing;
    this.#waiting.clear();
  }

  #holdsSome(taskIds: readonly number[]): boolean {
    if (this.#waiting.size === 0 && this.#beingWritten.length === 0) return false;
    const written = new Set(this.#beingWritten.map(({ checkpoint }) => checkpoint.key.taskId));
    return taskIds.some((id) => this.#waiting.has(id) || written.has(id));
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
    const { store, log, signals } = this.#parts;
    const batch = this.#take();
    this.#beingWritten = batch;
    let stored: ReadonlySet<number>;
    try {
      stored = new Set(await store.putCheckpoints(batch.map(({ checkpoint }) => checkpoint)));
    } catch (error) {
      this.#failures++;
      if (isAbsence(error)) {
        for (const each of batch) this.#putBack(each);
        this.#waitForDatabase();
        return false;
      }
      if (isLogDue(this.#failures)) log.error("checkpoint.write_failed", { error, count: batch.length });
      const why = error instanceof Error ? error.message : String(error);
      for (const {
        session,
        checkpoint: { key, sequence },
      } of batch)
        answer(session, { key, sequence, error: `the database did not store it: ${why}` });
      return true;
    }
    this.#failures = 0;
    for (const { session, checkpoint } of batch) {
      const { key, sequence } = checkpoint;
      if (stored.has(key.taskId)) {
        answer(session, { key, sequence });
        signals.changed(key.taskId);
      } else answer(session, staleAck(key, sequence));
    }
    return true;
  }

  #take(): Waiting[] {
    const batch: Waiting[] = [];
    let bytes = 0;
    for (const [taskId, each] of this.#waiting) {
      const size = each.checkpoint.value.byteLength;
      if (batch.length === MAX_BATCH || (batch.length > 0 && bytes + size > MAX_BATCH_BYTES)) break;
      bytes += size;
      batch.push(each);
      this.#waiting.delete(taskId);
    }
    this.#waitingBytes -= bytes;
    return batch;
  }

  /** A newer one of the task may have arrived meanwhile. */
  #putBack(each: Waiting): void {
    const { key, value } = each.checkpoint;
    if (this.#waiting.has(key.taskId)) return;
    this.#waiting.set(key.taskId, each);
    this.#waitingBytes += value.byteLength;
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

export interface CheckpointWriterParts {
  readonly store: Pick<CheckpointStore, "putCheckpoints">;
  readonly clock: Pick<Clock, "after">;
  readonly log: Pick<Logger, "error">;
  readonly signals: Pick<TaskSignals, "changed">;
}

/** The answer to a checkpoint of an attempt that is no longer the worker's. */
export function staleAck(key: AttemptKey, sequence: number): CheckpointAck {
  return { key, sequence, stale: true, error: "the attempt is no longer this worker's" };
}

/** A worker without a stream sends it again on the next one. */
function answer(session: Session, ack: CheckpointAck): void {
  session.link?.ackCheckpoint(ack);
}
