/** Collects events and writes them in batches. */
import { ChurnMap } from "@muster/common/churn-map";
import type { Clock } from "../../../clock.ts";
import { mayBeOfRows, UnstorableError } from "../../../domain/errors.ts";
import type { AttemptStore, AttemptTouch, EventStore, NewEvent, OutputChunk } from "../../../store/store.ts";
import type { Logger } from "../../../telemetry/logs/logger.ts";
import type { TaskSignals } from "../../following/task-signals.ts";
import type { Session } from "../../sessions/session.ts";
import type { Attempt } from "../attempt.ts";
import { sift } from "./sift.ts";
import { WriteLoop } from "./write-loop.ts";

/** Events kept while the database is away; beyond it the oldest are dropped and counted. */
const MAX_EVENTS = 20_000;

/** Output kept while the database is away or slow, bytes; beyond it the oldest is dropped and counted. */
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;

/** Most output in one statement, bytes; a single larger chunk goes alone. */
const MAX_OUTPUT_BATCH_BYTES = 4 * 1024 * 1024;

/** Most rows in one statement. */
const MAX_BATCH = 1_000;

/** The statements that write reports of running attempts. */
type EventWriterStore = Pick<EventStore, "appendEvents"> & Pick<AttemptStore, "touch" | "appendOutput">;

/**
 * Writes what workers tell of running attempts (accepted, started, phase, progress, events, output) in
 * batches, behind the stream.
 */
export class EventWriter {
  readonly #store: EventWriterStore;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #signals: TaskSignals;
  readonly #loop: WriteLoop;
  readonly #dirty = new ChurnMap<Attempt, Session>();
  #events: { readonly event: NewEvent; readonly at: number }[] = [];
  /** Events and chunks of output that are not written, by task. */
  readonly #unwritten = new Map<number, number>();
  #chunks: OutputChunk[] = [];
  #chunkBytes = 0;
  #dropped = 0;
  #droppedChunks = 0;

  constructor(parts: { store: EventWriterStore; clock: Clock; log: Logger; signals: TaskSignals }) {
    this.#store = parts.store;
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#signals = parts.signals;
    this.#loop = new WriteLoop({
      clock: parts.clock,
      write: () => this.#write(),
      onFailure: (failure) => parts.log.error("journal.write_failed", failure),
    });
  }

  /** Writes the attempt's state with the next batch. */
  writeAttempt(session: Session, attempt: Attempt): void {
    this.#dirty.set(attempt, session);
    this.#loop.arm();
  }

  appendEvent(event: NewEvent): void {
    if (this.#events.length >= MAX_EVENTS) {
      const oldest = this.#events.shift();
      if (oldest) this.#count(oldest.event, -1);
      this.#dropped++;
    }
    this.#events.push({ event, at: this.#clock.monotonic() });
    this.#count(event, 1);
    this.#loop.arm();
  }

  appendOutput(chunk: OutputChunk): void {
    this.#chunks.push(chunk);
    this.#chunkBytes += chunk.data.byteLength;
    this.#count(chunk, 1);
    while (this.#chunkBytes > MAX_OUTPUT_BYTES && this.#chunks.length > 1) {
      const oldest = this.#chunks.shift();
      if (oldest) this.#count(oldest, -1);
      this.#chunkBytes -= oldest?.data.byteLength ?? 0;
      this.#droppedChunks++;
    }
    this.#loop.arm();
  }

  /**
   * Writes what is there now; when the database is away it is kept for later.
   *
   * @returns False when events or output were kept.
   */
  flush(): Promise<boolean> {
    return this.#loop.run();
  }

  /**
   * Writes what happened to these tasks, and their output, before their end is written, so that the feed has it in
   * order, whoever sees the end finds all the output, and a crash cannot lose it. Costs nothing when nothing is
   * unwritten. When the database is away it gives up: the end cannot be written either.
   */
  async flushEventsOf(taskIds: readonly number[]): Promise<void> {
    // What other tasks add meanwhile is written after what these have added.
    while (this.#unwritten.size > 0 && taskIds.some((id) => this.#unwritten.has(id))) {
      if (!(await this.flush())) return;
    }
  }

  /** Writes what is there and takes no more time than one try. */
  stop(): Promise<void> {
    return this.#loop.stop();
  }

  /** @returns False when events or output were kept. */
  async #write(): Promise<boolean> {
    const touches = this.#takeTouches();
    const events = this.#events.splice(0, MAX_BATCH);
    const chunks = this.#takeChunks();
    // Each by itself: writing again what was written would be worse than a late line.
    const [touched, appended, put] = await Promise.all([
      this.#written(touches, (rows) => this.#store.touch(rows.map(({ touch }) => touch))),
      this.#written(events, (rows) => this.#store.appendEvents(this.#aged(rows))),
      this.#written(chunks, (rows) => this.#store.appendOutput(rows)),
    ]);
    for (const { event } of [...appended.done, ...appended.lost]) this.#count(event, -1);
    for (const chunk of [...put.done, ...put.lost]) this.#count(chunk, -1);
    for (const { attempt } of touched.done) this.#signals.changed(attempt.taskId);
    for (const chunk of put.done) this.#signals.changed(chunk.taskId);
    const kept = touched.kept.length + appended.kept.length + put.kept.length;
    if (kept > 0) {
      for (const { attempt, session, touch } of touched.kept) this.#putBack(attempt, session, touch);
      this.#events.unshift(...appended.kept);
      this.#chunks.unshift(...put.kept);
      this.#chunkBytes += bytesOf(put.kept);
      this.#loop.failed(kept, touched.error ?? appended.error ?? put.error);
      return appended.kept.length + put.kept.length === 0;
    }
    this.#loop.succeeded();
    if (this.#dropped > 0) {
      this.#log.warn("journal.events_dropped", { count: this.#dropped });
      this.#dropped = 0;
    }
    if (this.#droppedChunks > 0) {
      this.#log.warn("journal.output_dropped", { count: this.#droppedChunks });
      this.#droppedChunks = 0;
    }
    if (this.#events.length > 0 || this.#chunks.length > 0 || this.#dirty.size > 0) this.#loop.arm(0);
    return true;
  }

  /** Writes the rows together, or one by one when the database refuses them: only what it cannot store is lost. */
  async #written<T>(
    rows: readonly T[],
    write: (rows: readonly T[]) => Promise<unknown>,
  ): Promise<Written<T>> {
    if (rows.length === 0) return { done: [], kept: [], lost: [], error: undefined };
    try {
      await write(rows);
      return { done: rows, kept: [], lost: [], error: undefined };
    } catch (error) {
      if (!mayBeOfRows(error)) return { done: [], kept: rows, lost: [], error };
      const { taken, refused, error: last } = await sift(rows, this.#loop.failures, (row) => write([row]));
      const done = taken.map(({ row }) => row);
      const unstorable = refused.filter((each) => each.error instanceof UnstorableError);
      for (const each of unstorable) this.#log.error("journal.not_storable", { error: each.error });
      const lost = unstorable.map(({ row }) => row);
      const over = new Set([...done, ...lost]);
      return { done, lost, kept: rows.filter((row) => !over.has(row)), error: last };
    }
  }

  #count({ taskId }: Pick<NewEvent, "taskId">, change: number): void {
    if (taskId === undefined) return;
    const count = (this.#unwritten.get(taskId) ?? 0) + change;
    if (count > 0) this.#unwritten.set(taskId, count);
    else this.#unwritten.delete(taskId);
  }

  #takeChunks(): OutputChunk[] {
    let bytes = 0;
    let count = 0;
    for (const { data } of this.#chunks) {
      if (count === MAX_BATCH || (count > 0 && bytes + data.byteLength > MAX_OUTPUT_BATCH_BYTES)) break;
      bytes += data.byteLength;
      count++;
    }
    this.#chunkBytes -= bytes;
    return this.#chunks.splice(0, count);
  }

  #aged(events: readonly { readonly event: NewEvent; readonly at: number }[]): NewEvent[] {
    const now = this.#clock.monotonic();
    return events.map(({ event, at }) => ({ ...event, ageMs: now - at }));
  }

  #takeTouches(): { attempt: Attempt; session: Session; touch: AttemptTouch }[] {
    const now = this.#clock.monotonic();
    const taken: { attempt: Attempt; session: Session; touch: AttemptTouch }[] = [];
    for (const [attempt, session] of this.#dirty) {
      this.#dirty.delete(attempt);
      // Its end carries the same facts.
      if (!attempt.isOpen) continue;
      taken.push({ attempt, session, touch: attempt.takeTouch(now) });
      if (taken.length >= MAX_BATCH) break;
    }
    return taken;
  }

  #putBack(attempt: Attempt, session: Session, touch: AttemptTouch): void {
    // Its end carries the same facts.
    if (!attempt.isOpen) return;
    attempt.putBack(touch);
    this.#dirty.set(attempt, session);
  }
}

/** What became of rows. */
interface Written<T> {
  readonly done: readonly T[];
  readonly kept: readonly T[];
  /** The database cannot store them. */
  readonly lost: readonly T[];
  readonly error: unknown;
}

function bytesOf(chunks: readonly OutputChunk[]): number {
  return chunks.reduce((sum, { data }) => sum + data.byteLength, 0);
}
