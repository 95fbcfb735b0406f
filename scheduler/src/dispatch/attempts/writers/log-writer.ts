/** Writes what handlers log in batches, and acknowledges it. */
import { ChurnMap } from "@muster/common/churn-map";
import type { Clock } from "../../../clock.ts";
import { mayBeOfRows, UnstorableError } from "../../../domain/errors.ts";
import { type AttemptKey, formatAttemptId } from "../../../domain/ids.ts";
import type { LogLine, LogRow, TaskLogStore } from "../../../store/store.ts";
import type { Logger } from "../../../telemetry/logs/logger.ts";
import type { Counters } from "../../../telemetry/metrics/counters.ts";
import type { TaskSignals } from "../../following/task-signals.ts";
import type { Session } from "../../sessions/session.ts";
import { sift } from "./sift.ts";
import { WriteLoop } from "./write-loop.ts";

/**
 * Lines kept while the database is away or slow, bytes; what comes beyond it is dropped and counted. Each worker sends at
 * most 256 KiB that are not acknowledged: 256 workers fill it.
 */
const MAX_BYTES = 64 * 1024 * 1024;

/** Most lines of one attempt from one stream: twice what the worker sends at most, because messages may come twice. */
const MAX_ATTEMPT_BYTES = 2 * 1024 * 1024;

/** Attempts whose bytes are counted; beyond it the count of the one that logged first begins anew. */
const MAX_COUNTED = 20_000;

/** Most rows and bytes in one statement. */
const MAX_BATCH = 500;
const MAX_BATCH_BYTES = 4 * 1024 * 1024;

/** What a line takes besides its text, and a message besides its lines, bytes. */
const LINE_BYTES = 32;
const MESSAGE_BYTES = 64;

/** A message of a worker. */
export interface LogMessage {
  readonly key: AttemptKey;
  readonly batchNumber: number;
  readonly lines: readonly LogLine[];
  /** Undefined while further lines may come. */
  readonly endSequence: number | undefined;
}

interface Waiting extends LogMessage {
  readonly session: Session;
  /** The session held the attempt when the message came. */
  readonly held: boolean;
  readonly bytes: number;
  readonly at: number;
  /** Its lines were dropped: it waits for its turn to be acknowledged. */
  readonly dropped: boolean;
}

/**
 * Writes lines behind the stream, in the order in which they came. Nothing waits for it: what does not fit is dropped, and the
 * numbers of the lines show that they are missing.
 */
export class LogWriter {
  readonly #store: Pick<TaskLogStore, "appendLogs">;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #signals: TaskSignals;
  readonly #loop: WriteLoop;
  readonly #counters: Counters;
  /** False: lines are dropped. */
  readonly enabled: boolean;
  #waiting: Waiting[] = [];
  #bytes = 0;
  /** Bytes of attempts that have not ended, by attempt id. */
  readonly #bytesOf = new ChurnMap<string, number>();
  /** Lines that were dropped since the last write because too many waited. */
  #overload = 0;

  constructor(parts: {
    store: Pick<TaskLogStore, "appendLogs">;
    clock: Clock;
    log: Logger;
    signals: TaskSignals;
    counters: Counters;
    enabled: boolean;
  }) {
    this.#store = parts.store;
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#signals = parts.signals;
    this.#loop = new WriteLoop({
      clock: parts.clock,
      write: () => this.#write(),
      onFailure: (failure) => parts.log.error("task_log.write_failed", failure),
    });
    this.#counters = parts.counters;
    this.enabled = parts.enabled;
  }

  /** A worker has sent lines. @param held The session holds the attempt. */
  take(session: Session, message: LogMessage, held: boolean): void {
    const bytes = message.lines.reduce((sum, line) => sum + bytesOf(line), MESSAGE_BYTES);
    const cause = this.#causeToDrop(message, bytes);
    if (cause !== undefined) this.#counters.logLinesDropped.add(cause, message.lines.length);
    if (cause === "overload") this.#overload += message.lines.length;
    const kept = cause === undefined ? bytes : 0;
    this.#bytes += kept;
    const at = this.#clock.monotonic();
    // The end of an attempt is kept also when its last lines are not.
    const lines = cause === undefined ? message.lines : [];
    const dropped = !this.enabled || (lines.length === 0 && message.endSequence === undefined);
    // A worker that goes on without waiting for acknowledgements fills no memory.
    const last = this.#waiting.at(-1);
    if (dropped && last?.dropped && last.session === session) this.#waiting.pop();
    this.#waiting.push({ ...message, lines, session, held, bytes: kept, at, dropped });
    this.#loop.arm();
  }

  /** Writes what is there and takes no more time than one try. */
  stop(): Promise<void> {
    return this.#loop.stop();
  }

  #causeToDrop({ key, endSequence }: LogMessage, bytes: number): string | undefined {
    if (!this.enabled) return "off";
    const id = formatAttemptId(key);
    const before = this.#bytesOf.get(id) ?? 0;
    if (endSequence === undefined) this.#bytesOf.set(id, before + bytes);
    else this.#bytesOf.delete(id);
    if (this.#bytesOf.size > MAX_COUNTED) {
      for (const oldest of this.#bytesOf.keys()) {
        this.#bytesOf.delete(oldest);
        break;
      }
    }
    if (before + bytes > MAX_ATTEMPT_BYTES) return "too_large";
    return this.#bytes + bytes > MAX_BYTES ? "overload" : undefined;
  }

  /** @returns False when lines were kept. */
  async #write(): Promise<boolean> {
    const taken = this.#takeBatch();
    if (taken.length === 0) return true;
    const stored = taken.filter(({ dropped }) => !dropped);
    const now = this.#clock.monotonic();
    const error = stored.length === 0 ? undefined : await this.#stored(stored, now);
    if (error !== undefined) {
      this.#waiting.unshift(...taken);
      this.#bytes += sumOf(taken);
      this.#loop.failed(taken.length, error);
      return false;
    }
    this.#loop.succeeded();
    if (this.#overload > 0) this.#log.warn("task_log.lines_dropped", { count: this.#overload });
    this.#overload = 0;
    for (const { key } of stored) this.#signals.changed(key.taskId);
    this.#acknowledge(taken);
    if (this.#waiting.length > 0) this.#loop.arm(0);
    return true;
  }

  /** Stores the rows; returns why not, when they are to be tried again. */
  async #stored(messages: readonly Waiting[], now: number): Promise<unknown> {
    const write = async (rows: readonly Waiting[]): Promise<void> => {
      const refused = await this.#store.appendLogs(rows.map((row) => toRow(row, now)));
      for (let count = 0; count < refused; count++) this.#counters.stale.add("logs");
      this.#counters.logLines += rows.reduce((sum, { lines }) => sum + lines.length, 0);
    };
    try {
      await write(messages);
      return undefined;
    } catch (error) {
      if (!mayBeOfRows(error)) return error;
      const { refused, taken, error: last } = await sift(messages, 0, (row) => write([row]));
      const unstorable = refused.filter((each) => each.error instanceof UnstorableError);
      if (taken.length + unstorable.length < messages.length) return last ?? error;
      for (const { row, error } of unstorable) {
        this.#counters.logLinesDropped.add("unstorable", row.lines.length);
        this.#log.error("task_log.not_storable", { attempt_id: formatAttemptId(row.key), error });
      }
      return undefined;
    }
  }

  /** The last number of each session acknowledges all before it. */
  #acknowledge(messages: readonly Waiting[]): void {
    const last = new Map<Session, number>();
    for (const { session, batchNumber } of messages)
      last.set(session, Math.max(batchNumber, last.get(session) ?? 0));
    for (const [session, batchNumber] of last) session.link?.ackLogs(batchNumber);
  }

  #takeBatch(): Waiting[] {
    let bytes = 0;
    let count = 0;
    for (const message of this.#waiting) {
      if (count === MAX_BATCH || (count > 0 && bytes + message.bytes > MAX_BATCH_BYTES)) break;
      bytes += message.bytes;
      count++;
    }
    this.#bytes -= bytes;
    return this.#waiting.splice(0, count);
  }
}

function toRow({ key, session, held, lines, endSequence, at }: Waiting, now: number): LogRow {
  return {
    ...key,
    unverifiedSessionId: held ? undefined : session.id,
    endSequence,
    lines: lines.map((line) => ({ ...line, ageMs: line.ageMs + now - at })),
  };
}

function bytesOf({ message, fields }: LogLine): number {
  return message.length + fields.length + LINE_BYTES;
}

function sumOf(messages: readonly Waiting[]): number {
  return messages.reduce((sum, { bytes }) => sum + bytes, 0);
}
