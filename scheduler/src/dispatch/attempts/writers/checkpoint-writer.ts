/** Writes checkpoints that workers report, and answers when they are durable. */
import type { Clock } from "../../../clock.ts";
import type { AttemptKey } from "../../../domain/ids.ts";
import type { CheckpointStore, NewCheckpoint } from "../../../store/store.ts";
import type { Logger } from "../../../telemetry/logs/logger.ts";
import { isLogDue } from "../../../telemetry/metrics/growing.ts";
import type { TaskSignals } from "../../following/task-signals.ts";
import type { CheckpointAck } from "../../sessions/link.ts";
import type { Session } from "../../sessions/session.ts";
import { LatestWrites } from "./latest-writes.ts";

/** Most bytes that wait while the database is away or slow; a checkpoint beyond it is refused, and its handler gets the error. */
const MAX_WAITING_BYTES = 64 * 1024 * 1024;

interface Waiting {
  readonly session: Session;
  readonly checkpoint: NewCheckpoint;
}

/** Writes the latest checkpoint of each task. Never throws: the worker gets the answer. */
export class CheckpointWriter {
  readonly #parts: CheckpointWriterParts;
  /** By task. */
  readonly #writes: LatestWrites<number, Waiting>;

  constructor(parts: CheckpointWriterParts) {
    this.#parts = parts;
    this.#writes = new LatestWrites({
      clock: parts.clock,
      keyOf: ({ checkpoint }) => checkpoint.key.taskId,
      taskIdOf: ({ checkpoint }) => checkpoint.key.taskId,
      bytesOf: ({ checkpoint }) => checkpoint.value.byteLength,
      write: (batch) => this.#store(batch),
      onRefused: ({ batch, error, failures }) => {
        if (isLogDue(failures)) parts.log.error("checkpoint.write_failed", { error, count: batch.length });
        const why = error instanceof Error ? error.message : String(error);
        for (const { session, checkpoint } of batch)
          answer(session, { ...place(checkpoint), error: `the database did not store it: ${why}` });
      },
    });
  }

  /** Takes a checkpoint of an attempt that is the session's. One that waits for the same task is not written any more. */
  put(session: Session, checkpoint: NewCheckpoint): void {
    const { key, sequence, value } = checkpoint;
    const older = this.#writes.waitingOf(key.taskId)?.checkpoint;
    if (older?.key.epoch === key.epoch && older.sequence >= sequence) return;
    const bytes = this.#writes.waitingBytes - (older?.value.byteLength ?? 0) + value.byteLength;
    if (bytes > MAX_WAITING_BYTES) {
      const error = `${MAX_WAITING_BYTES / 1024 / 1024} MiB of checkpoints wait for the database`;
      answer(session, { key, sequence, error });
      return;
    }
    this.#writes.put({ session, checkpoint });
  }

  /** Writes what waits of these tasks, before their ends are written. */
  flushOf(taskIds: readonly number[]): Promise<void> {
    return this.#writes.flushOf(taskIds);
  }

  /** Tries at once what waits for the database: it is back. */
  tryNow(): void {
    void this.#writes.tryNow();
  }

  /** Writes nothing more. Workers send what was not answered to another scheduler. */
  stop(): Promise<void> {
    return this.#writes.stop();
  }

  async #store(batch: readonly Waiting[]): Promise<void> {
    const { store, signals } = this.#parts;
    const stored = new Set(await store.putCheckpoints(batch.map(({ checkpoint }) => checkpoint)));
    for (const { session, checkpoint } of batch) {
      const { key, sequence } = checkpoint;
      if (stored.has(key.taskId)) {
        answer(session, { key, sequence });
        signals.changed(key.taskId);
      } else answer(session, staleAck(key, sequence));
    }
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

function place({ key, sequence }: NewCheckpoint): Pick<CheckpointAck, "key" | "sequence"> {
  return { key, sequence };
}

/** A worker without a stream sends it again on the next one. */
function answer(session: Session, ack: CheckpointAck): void {
  session.link?.ackCheckpoint(ack);
}
