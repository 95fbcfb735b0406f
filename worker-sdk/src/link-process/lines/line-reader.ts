/** Splits the bytes of a worker into lines, and says which of them cannot be one. */

const LINE_FEED = 0x0a;

/** Bytes of a line that are kept to show which one is meant. */
const HEAD_BYTES = 200;

/** A line, or why it is none. */
export type ReadLine =
  | { readonly text: string }
  | { readonly fault: "LINE_TOO_LONG" | "NOT_JSON"; readonly message: string; readonly head: string };

/** Reads lines of UTF-8. What is no line is skipped up to its end, and costs at most `maxBytes` of memory. */
export class LineReader {
  readonly #maxBytes: number;
  readonly #decoder = new TextDecoder("utf-8", { fatal: true });
  #parts: Uint8Array[] = [];
  #length = 0;
  #kept = 0;

  /** @param maxBytes Longest line, without its line feed. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes of the unfinished line that are in memory. */
  get keptBytes(): number {
    return this.#kept;
  }

  /** The lines that end in this chunk; empty ones are left out. */
  push(chunk: Uint8Array): ReadLine[] {
    const lines: ReadLine[] = [];
    let from = 0;
    for (let end = chunk.indexOf(LINE_FEED); end >= 0; end = chunk.indexOf(LINE_FEED, from)) {
      this.#take(chunk.subarray(from, end));
      const line = this.#line();
      if (line !== undefined) lines.push(line);
      from = end + 1;
    }
    this.#take(chunk.subarray(from));
    return lines;
  }

  #take(part: Uint8Array): void {
    if (part.length === 0) return;
    this.#length += part.length;
    const isTooLong = this.#length > this.#maxBytes;
    if (isTooLong && this.#kept > HEAD_BYTES) {
      this.#parts = [Uint8Array.from(Buffer.concat(this.#parts).subarray(0, HEAD_BYTES))];
      this.#kept = HEAD_BYTES;
    }
    const wanted = isTooLong ? part.subarray(0, HEAD_BYTES - this.#kept) : part;
    if (wanted.length === 0) return;
    // A copy: a part of a chunk would hold all of it in memory.
    this.#parts.push(Uint8Array.from(wanted));
    this.#kept += wanted.length;
  }

  #line(): ReadLine | undefined {
    const bytes = Buffer.concat(this.#parts);
    const length = this.#length;
    this.#parts = [];
    this.#length = 0;
    this.#kept = 0;
    const head = bytes.subarray(0, HEAD_BYTES).toString("utf8");
    if (length > this.#maxBytes) {
      const message = `the line has ${length} bytes; at most ${this.#maxBytes} are read: put large values into a file`;
      return { fault: "LINE_TOO_LONG", message, head };
    }
    try {
      const text = this.#decoder.decode(bytes);
      return text.trim() === "" ? undefined : { text };
    } catch {
      return { fault: "NOT_JSON", message: "the line is not UTF-8", head };
    }
  }
}
