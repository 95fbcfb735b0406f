/** The lines between the link and its worker. */
import type { Readable, Writable } from "node:stream";
import { LineReader, type ReadLine } from "./line-reader.ts";

/** What a worker that reads nothing may leave unread before lines that only inform are dropped, in bytes. */
const MAX_UNREAD_BYTES = 1024 * 1024;

/** Who listens. */
export interface LineListener {
  line(line: ReadLine): void;
  /** The worker reads and writes no more. Called once. */
  closed(): void;
}

/** Reads and writes lines. What is written is kept until the worker reads it. */
export class LineChannel {
  readonly #to: Writable;
  #closed = false;
  /** Lines that were dropped because the worker does not read. */
  dropped = 0;

  constructor(from: Readable, to: Writable, maxLine: number, listener: LineListener) {
    this.#to = to;
    const reader = new LineReader(maxLine);
    const close = (): void => {
      if (this.#closed) return;
      this.#closed = true;
      listener.closed();
    };
    from.on("data", (chunk: Buffer) => {
      for (const line of reader.push(chunk)) listener.line(line);
    });
    for (const event of ["end", "close"] as const) from.on(event, close);
    for (const stream of new Set<Readable | Writable>([from, to]))
      stream.on("error", () => {
        // The worker has closed its side, or has ended: the end of what is read follows.
      });
  }

  /** Bytes that the worker has not read. */
  get unreadBytes(): number {
    return this.#to.writableLength;
  }

  /** Writes the text of a line. */
  writeText(json: string): void {
    if (this.#to.writable) this.#to.write(`${json}\n`);
  }

  /** Writes a line. */
  write(line: { readonly kind: string } & Readonly<Record<string, unknown>>): void {
    this.writeText(JSON.stringify(line));
  }

  /** Writes a line that only informs: it is dropped where the worker does not read. */
  inform(line: { readonly kind: string } & Readonly<Record<string, unknown>>): void {
    if (this.unreadBytes > MAX_UNREAD_BYTES) this.dropped += 1;
    else this.write(line);
  }

  /** Nothing more is written: the worker reads the end. */
  end(): void {
    this.#to.end();
  }
}
