/** The messages to the scheduler until they are acknowledged. */
import { ChurnMap } from "@muster/common/churn-map";
import type { CheckpointAck } from "@muster/protocol";
import type { Clock } from "../../clock.ts";
import { EventsFrame, encodeEvent } from "../codec/events-frame.ts";
import type { WorkerMessageKind } from "../codec/wire.ts";
import { encode, ResultsFrame } from "../codec/wire.ts";
import type { Stream } from "../connection/stream.ts";
import type { ToLink } from "../messages.ts";
import type { CheckpointQueue } from "./checkpoints.ts";
import { HandlerReportQueue } from "./handler-reports.ts";
import type { InFlightAttempt, InFlightAttempts, UnacknowledgedResult } from "./in-flight.ts";
import { SlotReports } from "./slot-reports.ts";
import { StepReports } from "./step-reports.ts";

/** Events that a scheduler with the feature `brief_starts` accepts in the message of the acceptance. */
export const RECEIVED = "task.received";
export const STARTED = "task.started";

/** Feature of a scheduler that takes many events in one message. */
const EVENT_BATCHES = "event_batches";

/** Most bytes of a frame of events. */
const MAX_EVENTS_FRAME_BYTES = 128 * 1024;

/** Most results of one frame, and most bytes of their outputs. */
const MAX_FRAME_RESULTS = 500;
const MAX_FRAME_BYTES = 1024 * 1024;

/**
 * Most bytes of output chunks that wait for a slow peer; beyond it the oldest are dropped. A scheduler buffers as
 * much while its database is down: a handler that writes a thousand chunks at once loses none.
 */
const MAX_WAITING_OUTPUT_BYTES = 64 * 1024 * 1024;

interface WaitingProgress {
  readonly encodeWith: (shed: number) => Uint8Array;
  shed: number;
  /** A phase has started or ended since: the start of the next one makes this report obsolete. */
  sealed: boolean;
}

interface WaitingOutput {
  readonly attemptId: string;
  readonly encoded: Uint8Array;
}

/**
 * Messages that wait to be written. Acceptances, rejections and other control messages are written at once. Results and
 * events wait for a slow peer and are never dropped (events within bounds). Of progress only the latest report of each
 * attempt is kept, of output the latest 64 MiB.
 */
export class Outbox {
  readonly #inFlight: InFlightAttempts;
  readonly #checkpoints: CheckpointQueue;
  readonly #stepReports: StepReports;
  readonly #handlerReports: HandlerReportQueue;
  readonly #slotReports: SlotReports;
  readonly #onShed: (kind: "progress" | "output", count: number) => void;
  readonly #clock: Pick<Clock, "monotonicMs">;
  #stream: Stream | undefined;
  #briefStarts = false;
  #eventBatches = false;
  #accepted: string[] = [];
  #control: Uint8Array[] = [];
  readonly #eventful = new ChurnMap<InFlightAttempt, true>();
  #progress = new Map<string, WaitingProgress>();
  /** Attempts whose count of iterations this stream has not carried. */
  readonly #counted = new ChurnMap<InFlightAttempt, true>();
  #output: WaitingOutput[] = [];
  #outputBytes = 0;
  /** Chunks that wait, by attempt. */
  readonly #outputOf = new Map<string, number>();
  /** Attempts whose result this stream has not carried. */
  readonly #results = new ChurnMap<InFlightAttempt, true>();
  #flushScheduled = false;

  constructor(
    inFlight: InFlightAttempts,
    checkpoints: CheckpointQueue,
    onShed: (kind: "progress" | "output", count: number) => void,
    clock: Pick<Clock, "monotonicMs">,
  ) {
    this.#clock = clock;
    this.#inFlight = inFlight;
    this.#stepReports = new StepReports(inFlight);
    this.#handlerReports = new HandlerReportQueue(inFlight);
    this.#slotReports = new SlotReports(inFlight);
    this.#checkpoints = checkpoints;
    this.#onShed = onShed;
  }

  /**
   * A stream was welcomed: everything that is not acknowledged is sent again, the result of each attempt last.
   *
   * @param briefStarts The scheduler accepts starts in the message of the acceptance.
   * @param features All that the scheduler understands.
   */
  open(stream: Stream, briefStarts: boolean, features: readonly string[] = []): void {
    this.#stepReports.open(features);
    this.#handlerReports.open(features);
    this.#slotReports.open(features);
    this.#stream = stream;
    this.#briefStarts = briefStarts;
    this.#eventBatches = features.includes(EVENT_BATCHES);
    this.#inFlight.startStream();
    this.#control = [];
    this.#accepted = [];
    this.#eventful.clear();
    this.#results.clear();
    this.#counted.clear();
    for (const attempt of this.#inFlight.values()) {
      if (attempt.revoked) continue;
      if (attempt.result !== undefined) this.#results.set(attempt, true);
      if (attempt.iterations > 0) this.#counted.set(attempt, true);
      if (!attempt.accepted) continue;
      this.#accepted.push(attempt.attemptId);
      this.#eventful.set(attempt, true);
    }
    this.flush();
  }

  /** The stream ended: the attempts in flight have what has to be sent again. */
  close(): void {
    this.#stream = undefined;
    this.#control = [];
    this.#accepted = [];
  }

  /** Queues an acceptance. Dropped without a stream: `open` queues it again. */
  accepted(attempt: InFlightAttempt): void {
    if (this.#stream === undefined) return;
    this.#accepted.push(attempt.attemptId);
    this.#schedule();
  }

  /** Queues a control message. Dropped without a stream: the next Hello has the same facts. */
  control(kind: WorkerMessageKind): void {
    if (this.#stream === undefined) return;
    this.#control.push(encode(kind));
    this.#schedule();
  }

  /** An event was added to this attempt. */
  event(attempt: InFlightAttempt): void {
    this.#eventful.set(attempt, true);
    this.#schedule();
  }

  /** Replaces the waiting progress of the attempt. `shed` counts reports that were dropped before it. */
  progress(attemptId: string, shed: number, encodeWith: (shed: number) => Uint8Array): void {
    const waiting = this.#progress.get(attemptId);
    if (waiting !== undefined) this.#onShed("progress", 1);
    this.#progress.set(attemptId, {
      encodeWith,
      shed: shed + (waiting === undefined ? 0 : waiting.shed + 1),
      sealed: false,
    });
    this.#schedule();
  }

  /** An iteration of the attempt has begun. Only the latest count is sent, also again on a new stream. */
  iterations(attempt: InFlightAttempt): void {
    this.#counted.set(attempt, true);
    this.#schedule();
  }

  /** A named step of an attempt has begun or ended. */
  step({ attemptId, step }: Extract<ToLink, { kind: "step" }>): void {
    this.#stepReports.put(attemptId, step);
    this.#schedule();
  }

  /** What the handler of an attempt has measured and noted. */
  handlerReport(report: Extract<ToLink, { kind: "handlerReport" }>): void {
    this.#handlerReports.put(report);
    this.#schedule();
  }

  /** The slots of an attempt were freed or taken. Only the latest state is sent. */
  slot(attempt: InFlightAttempt): void {
    this.#slotReports.put(attempt);
    this.#schedule();
  }

  /** Keeps a checkpoint, which is sent before the result of its attempt. */
  checkpoint(message: Extract<ToLink, { kind: "checkpoint" }>): void {
    this.#checkpoints.put(message);
    this.#schedule();
  }

  /** The scheduler has answered a checkpoint. */
  checkpointAnswered(ack: CheckpointAck): void {
    if (this.#checkpoints.answered(ack)) this.#schedule();
  }

  /** A phase starts or ends: progress that waits belongs to what ran before, and is written before the event. */
  sealProgress(attemptId: string, begins: boolean): void {
    const waiting = this.#progress.get(attemptId);
    if (waiting === undefined) return;
    if (this.#stream !== undefined && !this.#stream.ended) {
      this.flush();
      if (this.#progress.get(attemptId) !== waiting) return;
      this.#stream?.write(waiting.encodeWith(waiting.shed));
      this.#progress.delete(attemptId);
    } else if (begins && waiting.sealed) this.#progress.delete(attemptId);
    else waiting.sealed = true;
  }

  /** Queues an output chunk; the oldest are dropped when the peer is slow. */
  output(attemptId: string, encoded: Uint8Array): void {
    this.#output.push({ attemptId, encoded });
    this.#outputBytes += encoded.byteLength;
    this.#outputOf.set(attemptId, (this.#outputOf.get(attemptId) ?? 0) + 1);
    this.#schedule();
  }

  /** Queues the result of an attempt in flight. */
  result(attempt: InFlightAttempt): void {
    this.#checkpoints.resultKept(attempt.attemptId);
    if (this.#stream === undefined) return;
    this.#results.set(attempt, true);
    this.#schedule();
  }

  /** The attempt no longer belongs to this worker: nothing more of it is sent. */
  forget(attempt: InFlightAttempt): void {
    this.#eventful.delete(attempt);
    this.#progress.delete(attempt.attemptId);
    this.#results.delete(attempt);
    this.#counted.delete(attempt);
    this.#checkpoints.forget(attempt.attemptId);
    this.#stepReports.forget(attempt.attemptId);
    this.#handlerReports.forget(attempt.attemptId);
    this.#slotReports.forget(attempt);
  }

  /** Writes what may be written now, in the order that keeps an attempt's history in order. */
  readonly flush = (): void => {
    this.#flushScheduled = false;
    const stream = this.#stream;
    if (stream === undefined || stream.ended) {
      this.#shedOutput();
      return;
    }
    this.#writeAccepts(stream);
    for (const bytes of this.#control) stream.write(bytes);
    this.#control = [];
    this.#stepReports.writeTo(stream);
    this.#handlerReports.writeTo(stream);
    this.#checkpoints.writeTo(stream);
    this.#slotReports.writeTo(stream, this.#clock.monotonicMs());
    for (const { attemptId, iterations } of this.#counted.keys())
      stream.write(encode({ case: "taskProgress", value: { attemptId, iterationCount: iterations } }));
    this.#counted.clear();
    this.#writeEvents(stream);
    for (const [attemptId, { encodeWith, shed }] of this.#progress) {
      if (stream.congested) break;
      stream.write(encodeWith(shed));
      this.#progress.delete(attemptId);
    }
    // Results of attempts without output do not wait for the output of others.
    if (this.#eventful.size === 0 && this.#outputBytes > 0) this.#writeResults(stream);
    this.#writeOutput(stream);
    if (this.#eventful.size === 0) this.#writeResults(stream);
    this.#shedOutput();
  };

  #schedule(): void {
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    setImmediate(this.flush);
  }

  #writeAccepts(stream: Stream): void {
    const startedAttemptIds: string[] = [];
    if (this.#briefStarts) {
      for (const attempt of this.#eventful.keys()) {
        const { events } = attempt;
        for (let event = events.kept[events.sent]; event !== undefined; event = events.kept[events.sent]) {
          if (event.name === STARTED) startedAttemptIds.push(attempt.attemptId);
          else if (event.name !== RECEIVED) break;
          events.sent += 1;
        }
        if (events.sent === events.kept.length) this.#eventful.delete(attempt);
      }
    }
    if (this.#accepted.length + startedAttemptIds.length === 0) return;
    stream.write(encode({ case: "taskAccepted", value: { attemptIds: this.#accepted, startedAttemptIds } }));
    this.#accepted = [];
  }

  #writeEvents(stream: Stream): void {
    if (this.#eventBatches) return this.#writeEventFrames(stream);
    for (const attempt of this.#eventful.keys()) {
      const { events } = attempt;
      while (events.sent < events.kept.length && !stream.congested) {
        const event = events.kept[events.sent];
        if (event !== undefined) stream.write(encodeEvent(attempt.attemptId, event));
        events.sent += 1;
      }
      if (events.sent < events.kept.length) return;
      this.#eventful.delete(attempt);
    }
  }

  #writeEventFrames(stream: Stream): void {
    while (this.#eventful.size > 0 && !stream.congested) {
      const frame = new EventsFrame();
      this.#fill(frame);
      if (frame.bytes > 0) stream.write(frame.finish());
    }
  }

  /** Adds events until the frame is large enough. */
  #fill(frame: EventsFrame): void {
    for (const attempt of this.#eventful.keys()) {
      const { events } = attempt;
      for (let event = events.kept[events.sent]; event !== undefined; event = events.kept[events.sent]) {
        if (frame.bytes >= MAX_EVENTS_FRAME_BYTES) return;
        frame.add(attempt.attemptId, event);
        events.sent += 1;
      }
      this.#eventful.delete(attempt);
    }
  }

  #writeOutput(stream: Stream): void {
    let written = 0;
    for (const waiting of this.#output) {
      if (stream.congested) break;
      stream.write(waiting.encoded);
      this.#outputGone(waiting);
      written += 1;
    }
    if (written > 0) this.#output.splice(0, written);
  }

  #shedOutput(): void {
    let shed = 0;
    while (this.#outputBytes > MAX_WAITING_OUTPUT_BYTES) {
      const oldest = this.#output[shed];
      if (oldest === undefined) break;
      this.#outputGone(oldest);
      shed += 1;
    }
    if (shed === 0) return;
    this.#output.splice(0, shed);
    this.#onShed("output", shed);
  }

  #outputGone({ attemptId, encoded }: WaitingOutput): void {
    this.#outputBytes -= encoded.byteLength;
    const left = (this.#outputOf.get(attemptId) ?? 0) - 1;
    if (left > 0) this.#outputOf.set(attemptId, left);
    else this.#outputOf.delete(attemptId);
  }

  /** Writes the results of attempts whose output has been written. */
  #writeResults(stream: Stream): void {
    while (this.#results.size > 0 && !stream.congested) {
      const frame = new ResultsFrame();
      let bytes = 0;
      let count = 0;
      for (const attempt of this.#results.keys()) {
        const { attemptId, result } = attempt;
        if (this.#outputOf.has(attemptId)) continue;
        bytes += sizeOf(result);
        if (count > 0 && (count >= MAX_FRAME_RESULTS || bytes > MAX_FRAME_BYTES)) break;
        if (result !== undefined) frame.add(attemptId, result);
        this.#results.delete(attempt);
        count += 1;
      }
      if (count === 0) return;
      stream.write(frame.finish());
    }
  }
}

/** Approximate bytes of a result in a frame: a UTF-16 unit of text counts as one. */
function sizeOf(result: UnacknowledgedResult | undefined): number {
  if (result === undefined) return 0;
  return result instanceof Uint8Array ? result.byteLength : result.output.length + 64;
}
