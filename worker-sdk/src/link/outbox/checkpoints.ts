/** Checkpoints of attempts until the scheduler answers them: the latest of each attempt, one on its way at a time. */
import type { CheckpointAck } from "@muster/protocol";
import { bytesOf, encode } from "../codec/wire.ts";
import type { Stream } from "../connection/stream.ts";
import type { FromLink, ToLink } from "../messages.ts";
import type { InFlightAttempts } from "./in-flight.ts";

/** Feature of a scheduler that takes them. */
const CHECKPOINTS = "checkpoints";

type Checkpoint = Extract<ToLink, { kind: "checkpoint" }>;

interface Entry {
  /** The latest one that this stream has not carried. */
  waiting: Checkpoint | undefined;
  /** The one that this stream has carried and the scheduler has not answered. */
  sent: Checkpoint | undefined;
}

/**
 * The checkpoints of this worker's attempts. While one of an attempt is on its way, a later one replaces the one that waits: a
 * slow link or database carries the latest. Only a result does not wait for the answer, because it has to come after them.
 */
export class CheckpointQueue {
  readonly #inFlight: Pick<InFlightAttempts, "get">;
  readonly #emit: (message: FromLink) => void;
  readonly #entries = new Map<string, Entry>();
  /** Attempts that may have something to write. */
  readonly #writable = new Set<string>();
  #supported = true;

  constructor(inFlight: Pick<InFlightAttempts, "get">, emit: (message: FromLink) => void) {
    this.#inFlight = inFlight;
    this.#emit = emit;
  }

  /** Keeps a checkpoint in place of one that was not sent. */
  put(checkpoint: Checkpoint): void {
    const { attemptId } = checkpoint;
    const entry = this.#entries.get(attemptId);
    if (entry) entry.waiting = checkpoint;
    else this.#entries.set(attemptId, { waiting: checkpoint, sent: undefined });
    if (this.#supported) this.#writable.add(attemptId);
    else this.#refuse(attemptId);
  }

  /** The attempt has a result, which is written after its checkpoint. */
  resultKept(attemptId: string): void {
    if (this.#entries.has(attemptId)) this.#writable.add(attemptId);
  }

  /** A stream was welcomed by a scheduler with these features: what was not answered is sent again. */
  open(features: readonly string[]): void {
    this.#supported = features.includes(CHECKPOINTS);
    for (const [attemptId, entry] of this.#entries) {
      entry.waiting ??= entry.sent;
      entry.sent = undefined;
      if (this.#supported) this.#writable.add(attemptId);
      else this.#refuse(attemptId);
    }
  }

  /** Writes what may be written now. */
  writeTo(stream: Pick<Stream, "write">): void {
    for (const attemptId of this.#writable) {
      const entry = this.#entries.get(attemptId);
      if (entry?.waiting === undefined) continue;
      if (entry.sent !== undefined && this.#inFlight.get(attemptId)?.result === undefined) continue;
      const { sequence, value, contentType } = entry.waiting;
      entry.sent = entry.waiting;
      entry.waiting = undefined;
      stream.write(
        encode({
          case: "taskCheckpoint",
          value: { attemptId, sequence: BigInt(sequence), value: bytesOf(value), contentType },
        }),
      );
    }
    this.#writable.clear();
  }

  /** The scheduler has answered one; true when another may be written now. */
  answered({ attemptId, sequence, error }: CheckpointAck): boolean {
    const entry = this.#entries.get(attemptId);
    const last = Number(sequence);
    // Of an earlier stream, or forgotten.
    if (entry === undefined) return false;
    if (entry.sent !== undefined && entry.sent.sequence <= last) entry.sent = undefined;
    if (entry.waiting !== undefined && entry.waiting.sequence <= last) entry.waiting = undefined;
    this.#emit({ kind: "checkpointAnswered", attemptId, sequence: last, error });
    if (entry.waiting !== undefined && entry.sent === undefined) {
      this.#writable.add(attemptId);
      return true;
    }
    if (entry.sent === undefined) this.#entries.delete(attemptId);
    return false;
  }

  /** The attempt no longer belongs to this worker, or its result is acknowledged. */
  forget(attemptId: string): void {
    this.#entries.delete(attemptId);
    this.#writable.delete(attemptId);
  }

  #refuse(attemptId: string): void {
    const sequence = this.#entries.get(attemptId)?.waiting?.sequence;
    this.forget(attemptId);
    if (sequence === undefined) return;
    const error = "this scheduler does not take checkpoints; upgrade it";
    this.#emit({ kind: "checkpointAnswered", attemptId, sequence, error });
  }
}
