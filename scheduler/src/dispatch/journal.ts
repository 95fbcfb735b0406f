import type { Clock } from "../clock.ts";
import { DatabaseUnavailableError } from "../domain/errors.ts";
import type { AttemptTouch, NewEvent, OutputChunk, Store } from "../store/store.ts";
import type { Logger } from "../telemetry/logger.ts";
import { ChurnMap } from "./churn-map.ts";
import type { Attempt, Session } from "./session.ts";
import type { TaskSignals } from "./task-signals.ts";

/** News of running attempts is written at most this late; a task that ends sooner needs no write of its own. */
const FLUSH_AFTER_MS = 50;

/** Wait after the database was found away. */
const RETRY_AFTER_MS = 500;

/** Events kept while the database is away; beyond it the oldest are dropped and counted. */
const MAX_EVENTS = 20_000;

/** Output kept while the database is away or slow, bytes; beyond it the oldest is dropped and counted. */
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;

/** Most output in one statement, bytes; a single larger chunk goes alone. */
const MAX_OUTPUT_BATCH_BYTES = 4 * 1024 * 1024;

/** Most rows in one statement. */
const MAX_BATCH = 1_000;

/**
 * Writes what workers tell of running attempts (accepted, started, phase, progress, events, output) in
 * batches, behind the stream.
 */
export class Journal {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #signals: TaskSignals;
  readonly #dirty = new ChurnMap<Attempt, Session>();
  #events: { readonly event: NewEvent; readonly at: number }[] = [];
  /** Events that are not written, by task. */
  readonly #unwritten = new Map<number, number>();
  #chunks: OutputChunk[] = [];
  #chunkBytes = 0;
  #dropped = 0;
  #droppedChunks = 0;
  #timer: (() => void) | undefined;
  #writing: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(parts: { store: Store; clock: Clock; log: Logger; signals: TaskSignals }) {
    this.#store = parts.store;
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#signals = parts.signals;
  }

  /** The attempt has unwritten news. */
  touch(session: Session, attempt: Attempt): void {
    this.#dirty.set(attempt, session);
    this.#arm(FLUSH_AFTER_MS);
  }

  event(event: NewEvent): void {
    if (this.#events.length >= MAX_EVENTS) {
      const oldest = this.#events.shift();
      if (oldest) this.#count(oldest.event, -1);
      this.#dropped++;
    }
    this.#events.push({ event, at: this.#clock.monotonic() });
    this.#count(event, 1);
    this.#arm(FLUSH_AFTER_MS);
  }

  output(chunk: OutputChunk): void {
    this.#chunks.push(chunk);
    this.#chunkBytes += chunk.data.byteLength;
    while (this.#chunkBytes > MAX_OUTPUT_BYTES && this.#chunks.length > 1) {
      this.#chunkBytes -= this.#chunks.shift()?.data.byteLength ?? 0;
      this.#droppedChunks++;
    }
    this.#arm(FLUSH_AFTER_MS);
  }

  /** Writes what is there now; when the database is away it is kept for later. */
  flush(): Promise<void> {
    this.#writing = this.#writing.then(() => this.#write());
    return this.#writing;
  }

  /**
   * Writes what happened to these tasks before their end is written, so that the feed has it in order and a
   * crash cannot lose it. Costs nothing when nothing is unwritten. When the database is away it gives up:
   * the end cannot be written either.
   */
  async flushEventsOf(taskIds: readonly number[]): Promise<void> {
    let left = Number.POSITIVE_INFINITY;
    while (this.#unwritten.size > 0 && taskIds.some((id) => this.#unwritten.has(id))) {
      if (this.#events.length >= left) return;
      left = this.#events.length;
      await this.flush();
    }
  }

  /** Writes what is there and takes no more time than one try. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.();
    this.#timer = undefined;
    await this.#writing;
    await this.#write();
  }

  #arm(afterMs: number): void {
    if (this.#timer || this.#stopped) return;
    this.#timer = this.#clock.after(afterMs, () => {
      this.#timer = undefined;
      void this.flush();
    });
  }

  async #write(): Promise<void> {
    const touches = this.#takeTouches();
    const events = this.#events.splice(0, MAX_BATCH);
    const chunks = this.#takeChunks();
    try {
      await Promise.all([
        touches.length > 0 ? this.#store.touch(touches.map(({ touch }) => touch)) : undefined,
        events.length > 0 ? this.#store.appendEvents(this.#aged(events)) : undefined,
        chunks.length > 0 ? this.#store.appendOutput(chunks) : undefined,
      ]);
    } catch (error) {
      if (!(error instanceof DatabaseUnavailableError)) {
        this.#log.error("journal.write_failed", { error, events: events.length, touches: touches.length });
        for (const { event } of events) this.#count(event, -1);
        return;
      }
      // Writing them twice would be worse than a late line, but the try has told us that it failed.
      this.#events.unshift(...events);
      this.#chunks.unshift(...chunks);
      this.#chunkBytes += bytesOf(chunks);
      for (const { attempt, session, touch } of touches) this.#putBack(attempt, session, touch);
      this.#arm(RETRY_AFTER_MS);
      return;
    }
    for (const { event } of events) this.#count(event, -1);
    if (this.#dropped > 0) {
      this.#log.warn("journal.events_dropped", { count: this.#dropped });
      this.#dropped = 0;
    }
    if (this.#droppedChunks > 0) {
      this.#log.warn("journal.output_dropped", { count: this.#droppedChunks });
      this.#droppedChunks = 0;
    }
    for (const { attempt } of touches) this.#signals.changed(attempt.taskId);
    for (const chunk of chunks) this.#signals.changed(chunk.taskId);
    if (this.#events.length > 0 || this.#chunks.length > 0 || this.#dirty.size > 0) this.#arm(0);
  }

  #count({ taskId }: NewEvent, change: number): void {
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
      if (attempt.settling) continue;
      const { accept, phase, progress } = attempt.unwritten;
      attempt.unwritten = { accept: false, phase: false, progress: false };
      taken.push({
        attempt,
        session,
        touch: {
          key: { taskId: attempt.taskId, epoch: attempt.epoch },
          acceptAgeMs: accept ? age(now, attempt.acceptedAt) : undefined,
          startAgeMs: accept ? age(now, attempt.startedAt) : undefined,
          phase: phase ? (attempt.phase ?? "") : undefined,
          phaseAgeMs: phase ? now - attempt.phaseAt : undefined,
          progress: progress ? attempt.progress : undefined,
        },
      });
      if (taken.length >= MAX_BATCH) break;
    }
    return taken;
  }

  #putBack(attempt: Attempt, session: Session, touch: AttemptTouch): void {
    attempt.unwritten = {
      accept: attempt.unwritten.accept || touch.acceptAgeMs !== undefined,
      phase: attempt.unwritten.phase || touch.phase !== undefined,
      progress: attempt.unwritten.progress || touch.progress !== undefined,
    };
    this.#dirty.set(attempt, session);
  }
}

function bytesOf(chunks: readonly OutputChunk[]): number {
  return chunks.reduce((sum, { data }) => sum + data.byteLength, 0);
}

function age(now: number, at: number | undefined): number | undefined {
  return at === undefined ? undefined : now - at;
}
