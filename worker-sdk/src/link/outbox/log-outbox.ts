/** The lines of handlers until the scheduler has stored them. */
import { LogLevel } from "@muster/protocol";
import type { Clock } from "../../clock.ts";
import { durationFromMs } from "../../duration.ts";
import type { LogLineMessage } from "../../task-log/attempt-log.ts";
import { encode } from "../codec/wire.ts";
import type { Stream } from "../connection/stream.ts";
import type { Counters } from "../health/counters.ts";

/** Feature of a scheduler that keeps lines. */
export const TASK_LOGS = "task_logs";

/** Most lines that wait or are not acknowledged, bytes; what comes beyond it is dropped and counted. */
const MAX_BYTES = 4 * 1024 * 1024;

/** Most that is sent and not acknowledged: a scheduler that is slow holds no more than this of a worker. */
const MAX_UNACKNOWLEDGED_BYTES = 256 * 1024;
const MAX_UNACKNOWLEDGED = 64;

/** Most lines and bytes of a message: it delays what follows it on the stream by a millisecond at most. */
const MAX_LINES = 1_000;
const MAX_MESSAGE_BYTES = 64 * 1024;

/** What a line, and a message, takes besides its text, bytes. */
const LINE_BYTES = 32;

/** Delay before the next try while other messages wait to leave. */
const AGAIN_MS = 25;

const LEVELS = {
  debug: LogLevel.DEBUGGING,
  info: LogLevel.INFO,
  warn: LogLevel.WARNING,
  error: LogLevel.FAILURE,
} as const;

interface LogMessage {
  readonly attemptId: string;
  readonly lines: readonly LogLineMessage[];
  readonly endSequence: number | undefined;
  readonly bytes: number;
  /** 0 until it is sent. */
  number: number;
}

/** Sends lines after everything else, and only as fast as the scheduler stores them. */
export class LogOutbox {
  readonly #clock: Clock;
  readonly #counters: Counters;
  #stream: Stream | undefined;
  /** False: the scheduler keeps no lines. Undefined before the first stream. */
  #wanted: boolean | undefined;
  #waiting: LogMessage[] = [];
  #sent: LogMessage[] = [];
  #bytes = 0;
  #sentBytes = 0;
  #number = 0;
  #cancelRetry: (() => void) | undefined;

  constructor(clock: Clock, counters: Counters) {
    this.#clock = clock;
    this.#counters = counters;
  }

  /** Lines that wait or are not acknowledged. */
  get lineCount(): number {
    return [...this.#sent, ...this.#waiting].reduce((sum, { lines }) => sum + lines.length, 0);
  }

  /** Nothing waits, and everything that was sent is acknowledged. */
  get isEmpty(): boolean {
    return this.#waiting.length + this.#sent.length === 0;
  }

  /** A stream was welcomed: what is not acknowledged is sent again. */
  open(stream: Stream, features: readonly string[]): void {
    this.#stream = stream;
    this.#wanted = features.includes(TASK_LOGS);
    this.#waiting = [...this.#sent, ...this.#waiting];
    this.#sent = [];
    this.#sentBytes = 0;
    if (!this.#wanted) {
      // A scheduler of another version, or one that keeps no lines.
      for (const { lines } of this.#waiting.splice(0)) this.#dropped("not_wanted", lines.length);
      this.#bytes = 0;
    }
    this.flush();
  }

  /** The stream ended. */
  close(): void {
    this.#stream = undefined;
  }

  /** Takes lines of an attempt, in order. `dropped`: those that the attempt's limit left out. */
  add(
    attemptId: string,
    lines: readonly LogLineMessage[],
    endSequence: number | undefined,
    dropped: number,
  ): void {
    if (dropped > 0) this.#dropped("attempt_limit", dropped);
    if (this.#wanted === false) {
      this.#dropped("not_wanted", lines.length);
      return;
    }
    let rest = lines;
    while (rest.length > 0 || endSequence !== undefined) {
      const { count, bytes } = firstMessage(rest);
      const isLast = count === rest.length;
      const message = { attemptId, lines: rest.slice(0, count), bytes, number: 0 };
      rest = rest.slice(count);
      this.#put({ ...message, endSequence: isLast ? endSequence : undefined });
      if (isLast) break;
    }
  }

  /** The scheduler has stored or dropped these messages. */
  acknowledged(number: number): void {
    let count = 0;
    for (const message of this.#sent) {
      if (message.number > number) break;
      this.#sentBytes -= message.bytes;
      this.#bytes -= message.bytes;
      this.#counters.add("task_log_lines", message.lines.length);
      count += 1;
    }
    this.#sent.splice(0, count);
    this.flush();
  }

  /** Writes what may be written now. */
  readonly flush = (): void => {
    const stream = this.#stream;
    if (stream === undefined || stream.ended) return;
    let count = 0;
    for (const message of this.#waiting) {
      if (this.#sent.length >= MAX_UNACKNOWLEDGED || this.#sentBytes >= MAX_UNACKNOWLEDGED_BYTES) break;
      if (stream.busy) {
        this.#cancelRetry ??= this.#clock.after(AGAIN_MS, () => {
          this.#cancelRetry = undefined;
          this.flush();
        });
        break;
      }
      this.#write(stream, message);
      count += 1;
    }
    if (count > 0) this.#waiting.splice(0, count);
  };

  /** The worker ends. */
  stop(): void {
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
  }

  #put(message: LogMessage): void {
    const { lines, endSequence } = message;
    if (this.#bytes + message.bytes <= MAX_BYTES) this.#waiting.push(message);
    else {
      this.#dropped("buffer", lines.length);
      // Readers wait for the end, and see by its number what is missing.
      if (endSequence === undefined) return;
      message = { ...message, lines: [], bytes: LINE_BYTES };
      this.#waiting.push(message);
    }
    this.#bytes += message.bytes;
  }

  #write(stream: Stream, message: LogMessage): void {
    this.#number = Math.max(this.#number + (message.number === 0 ? 1 : 0), message.number);
    message.number ||= this.#number;
    const nowMs = this.#clock.monotonicMs();
    const lines = message.lines.map(({ sequence, atMs, level, message: text, fields }) => ({
      sequence: BigInt(sequence),
      age: durationFromMs(nowMs - atMs),
      level: LEVELS[level],
      message: text,
      fieldsJson: fields,
    }));
    const { attemptId, endSequence = 0, number } = message;
    const value = { attemptId, batchNumber: BigInt(number), lines, endSequence: BigInt(endSequence) };
    stream.write(encode({ case: "taskLogs", value }), this.flush);
    this.#sent.push(message);
    this.#sentBytes += message.bytes;
  }

  #dropped(reason: string, lines: number): void {
    if (lines > 0) this.#counters.droppedLines.add(reason, lines);
  }
}

/** How many of these lines fit into a message, at least one. */
function firstMessage(lines: readonly LogLineMessage[]): { count: number; bytes: number } {
  let bytes = LINE_BYTES;
  let count = 0;
  for (const { message, fields } of lines) {
    const size = Buffer.byteLength(message) + Buffer.byteLength(fields) + LINE_BYTES;
    if (count === MAX_LINES || (count > 0 && bytes + size > MAX_MESSAGE_BYTES)) break;
    bytes += size;
    count += 1;
  }
  return { count, bytes };
}
