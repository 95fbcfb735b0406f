/** The lines of one attempt: numbers them, and keeps them within their limit. */
import type { TaskLogSettings } from "../options/task-log-options.ts";
import { type LineText, lineText } from "./line.ts";

/** Levels of lines, the least important first. */
const LEVELS = ["debug", "info", "warn", "error"] as const;

/** One of `LEVELS`. */
export type LineLevel = (typeof LEVELS)[number];

/** A line on its way to the scheduler. */
export interface LogLineMessage extends LineText {
  /** Number among the attempt's lines, from 1. */
  readonly sequence: number;
  /** When it was logged, on the monotonic clock. */
  readonly atMs: number;
  readonly level: LineLevel;
}

/** Most bytes of one attempt's lines: 1 MiB, of which the last eighth is for its last lines. */
export const MAX_BYTES = 1024 * 1024;
export const LAST_BYTES = MAX_BYTES / 8;

/** What a line takes besides its text, bytes. */
const LINE_BYTES = 32;

/** Where an attempt's lines go. */
export interface LineSink {
  readonly settings: TaskLogSettings;
  nowMs(): number;
  add(attemptId: string, line: LogLineMessage, bytes: number): void;
  /** No lines follow. @param dropped Lines that the limit left out. */
  end(attemptId: string, endSequence: number, dropped: number): void;
}

interface Kept {
  readonly line: LogLineMessage;
  readonly bytes: number;
}

/** Once the first 896 KiB are sent, the last 128 KiB are kept until the attempt ends: they say why it failed. */
export class AttemptLog {
  readonly #attemptId: string;
  readonly #sink: LineSink;
  #sequence = 0;
  #bytes = 0;
  /** The last lines; undefined while all fit. */
  #last: Kept[] | undefined;
  #lastBytes = 0;
  #dropped = 0;
  #ended = false;

  constructor(attemptId: string, sink: LineSink) {
    this.#attemptId = attemptId;
    this.#sink = sink;
  }

  /** Never throws. Nothing happens once the attempt has ended. */
  write(level: LineLevel, fields: object, message: string | undefined): void {
    const { settings } = this.#sink;
    if (this.#ended || LEVELS.indexOf(level) < LEVELS.indexOf(settings.level)) return;
    this.#put(level, lineText(fields, message ?? "", settings));
  }

  /** The same for a line whose text was made, and masked, elsewhere. */
  writeText(level: LineLevel, text: LineText): void {
    if (this.#ended || LEVELS.indexOf(level) < LEVELS.indexOf(this.#sink.settings.level)) return;
    this.#put(level, text);
  }

  /** The handler has ended. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const { line, bytes } of this.#last ?? []) this.#sink.add(this.#attemptId, line, bytes);
    if (this.#sequence > 0) this.#sink.end(this.#attemptId, this.#sequence + 1, this.#dropped);
  }

  #put(level: LineLevel, text: LineText): void {
    const bytes = Buffer.byteLength(text.message) + Buffer.byteLength(text.fields) + LINE_BYTES;
    if (this.#last === undefined) {
      if (this.#bytes + bytes <= MAX_BYTES - LAST_BYTES) {
        this.#bytes += bytes;
        this.#sink.add(this.#attemptId, this.#line(level, text), bytes);
        return;
      }
      this.#last = [];
      const message =
        `the log of this attempt has reached its limit of ${MAX_BYTES / 1024} KiB: ` +
        `of the lines that follow, the last ${LAST_BYTES / 1024} KiB are kept, and shown when the attempt ends`;
      this.#sink.add(this.#attemptId, this.#line("warn", { message, fields: "" }), message.length);
    }
    const last = this.#last;
    last.push({ line: this.#line(level, text), bytes });
    this.#lastBytes += bytes;
    let count = 0;
    while (this.#lastBytes > LAST_BYTES) this.#lastBytes -= last[count++]?.bytes ?? 0;
    // Removing lines one by one from the front of a list of thousands would move the rest each time.
    if (count === 0) return;
    last.splice(0, count);
    this.#dropped += count;
  }

  #line(level: LineLevel, text: LineText): LogLineMessage {
    this.#sequence += 1;
    return { sequence: this.#sequence, atMs: this.#sink.nowMs(), level, ...text };
  }
}
