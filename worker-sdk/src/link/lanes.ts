import type { TaskResult } from "@muster/protocol";
import type { HeldAttempt, HeldAttempts } from "./held.ts";
import type { Stream } from "./stream.ts";
import type { WorkerMessageKind } from "./wire.ts";
import { encode } from "./wire.ts";

/** Most results of one frame, and most bytes of their outputs. */
const MAX_FRAME_RESULTS = 500;
const MAX_FRAME_BYTES = 1024 * 1024;

/** Output chunks that wait for a slow peer, in bytes; beyond it the oldest are shed. */
const MAX_WAITING_OUTPUT_BYTES = 1024 * 1024;

interface WaitingProgress {
  readonly encodeWith: (shed: number) => Uint8Array;
  shed: number;
}

interface WaitingOutput {
  readonly attemptId: string;
  readonly encoded: Uint8Array;
}

/**
 * What waits to be written, by lane. Accepts, rejects and other control messages go at once; results and
 * events wait for a slow peer but are never given up (events within bounds); progress keeps only the
 * latest of each attempt, output the latest megabyte.
 */
export class Lanes {
  readonly #held: HeldAttempts;
  readonly #onShed: (kind: "progress" | "output", count: number) => void;
  #stream: Stream | undefined;
  #control: Uint8Array[] = [];
  #eventful = new Set<HeldAttempt>();
  #progress = new Map<string, WaitingProgress>();
  #output: WaitingOutput[] = [];
  #outputBytes = 0;
  #results: TaskResult[] = [];
  #flushScheduled = false;

  constructor(held: HeldAttempts, onShed: (kind: "progress" | "output", count: number) => void) {
    this.#held = held;
    this.#onShed = onShed;
  }

  /** A stream was welcomed: everything that is not acknowledged goes again, each attempt's result last. */
  open(stream: Stream): void {
    this.#stream = stream;
    this.#held.startStream();
    this.#control = [];
    this.#eventful.clear();
    this.#results = [];
    const accepted: string[] = [];
    for (const attempt of this.#held.values()) {
      if (attempt.result !== undefined) this.#results.push(attempt.result);
      if (!attempt.accepted) continue;
      accepted.push(attempt.attemptId);
      this.#eventful.add(attempt);
    }
    if (accepted.length > 0) this.control({ case: "taskAccepted", value: { attemptIds: accepted } });
    this.flush();
  }

  /** The stream ended: what is worth sending again is in the held attempts. */
  close(): void {
    this.#stream = undefined;
    this.#control = [];
  }

  /** A message that must not wait; dropped without a stream, where the next Hello says as much. */
  control(kind: WorkerMessageKind): void {
    if (this.#stream === undefined) return;
    this.#control.push(encode(kind));
    this.#schedule();
  }

  /** An event was added to this attempt. */
  event(attempt: HeldAttempt): void {
    this.#eventful.add(attempt);
    this.#schedule();
  }

  /** Replaces the attempt's waiting progress. `shed` counts what was already left out before it. */
  progress(attemptId: string, shed: number, encodeWith: (shed: number) => Uint8Array): void {
    const waiting = this.#progress.get(attemptId);
    if (waiting !== undefined) this.#onShed("progress", 1);
    this.#progress.set(attemptId, {
      encodeWith,
      shed: shed + (waiting === undefined ? 0 : waiting.shed + 1),
    });
    this.#schedule();
  }

  /** Queues an output chunk; the oldest are shed when the peer is slow. */
  output(attemptId: string, encoded: Uint8Array): void {
    this.#output.push({ attemptId, encoded });
    this.#outputBytes += encoded.byteLength;
    this.#schedule();
  }

  /** Queues a result that the held attempts keep. */
  result(result: TaskResult): void {
    if (this.#stream === undefined) return;
    this.#results.push(result);
    this.#schedule();
  }

  /** An attempt is no longer ours: nothing of it is sent. */
  forget(attempt: HeldAttempt): void {
    this.#eventful.delete(attempt);
    this.#progress.delete(attempt.attemptId);
    if (attempt.result !== undefined)
      this.#results = this.#results.filter((result) => result !== attempt.result);
  }

  /** Writes what may be written now, in the order that keeps an attempt's history in order. */
  readonly flush = (): void => {
    this.#flushScheduled = false;
    const stream = this.#stream;
    if (stream === undefined || stream.ended) {
      this.#shedOutput();
      return;
    }
    for (const bytes of this.#control) stream.write(bytes);
    this.#control = [];
    this.#writeEvents(stream);
    for (const [attemptId, { encodeWith, shed }] of this.#progress) {
      if (stream.congested) break;
      stream.write(encodeWith(shed));
      this.#progress.delete(attemptId);
    }
    this.#writeOutput(stream);
    if (this.#eventful.size === 0) this.#writeResults(stream);
    this.#shedOutput();
  };

  #schedule(): void {
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    setImmediate(this.flush);
  }

  #writeEvents(stream: Stream): void {
    for (const attempt of this.#eventful) {
      const { events } = attempt;
      while (events.sent < events.encoded.length && !stream.congested) {
        const bytes = events.encoded[events.sent];
        if (bytes !== undefined) stream.write(bytes);
        events.sent += 1;
      }
      if (events.sent < events.encoded.length) return;
      this.#eventful.delete(attempt);
    }
  }

  #writeOutput(stream: Stream): void {
    let written = 0;
    for (const { encoded } of this.#output) {
      if (stream.congested) break;
      stream.write(encoded);
      this.#outputBytes -= encoded.byteLength;
      written += 1;
    }
    if (written > 0) this.#output.splice(0, written);
  }

  #shedOutput(): void {
    let shed = 0;
    while (this.#outputBytes > MAX_WAITING_OUTPUT_BYTES) {
      const oldest = this.#output[shed];
      if (oldest === undefined) break;
      this.#outputBytes -= oldest.encoded.byteLength;
      shed += 1;
    }
    if (shed === 0) return;
    this.#output.splice(0, shed);
    this.#onShed("output", shed);
  }

  #writeResults(stream: Stream): void {
    while (this.#results.length > 0 && !stream.congested) {
      let bytes = 0;
      let count = 0;
      for (const result of this.#results) {
        bytes += outputSize(result);
        if (count > 0 && (count >= MAX_FRAME_RESULTS || bytes > MAX_FRAME_BYTES)) break;
        count += 1;
      }
      const results = this.#results.splice(0, count);
      stream.write(encode({ case: "taskResults", value: { results } }));
    }
  }
}

function outputSize({ outcome }: TaskResult): number {
  switch (outcome.case) {
    case "succeeded":
      return outcome.value.output.byteLength + 64;
    case "failed":
      return outcome.value.traceback.length + outcome.value.message.length + 64;
    default:
      return 64;
  }
}
