/** Splits a stream of bytes into lines. */

const LINE_FEED = 0x0a;

/**
 * Splits a stream of bytes into lines. A line longer than `maxBytes` is skipped: no expected line is that long, and a
 * program may write an endless line.
 */
export class Lines {
  readonly #maxBytes: number;
  #parts: Uint8Array[] = [];
  #length = 0;
  #skipping = false;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** The lines that end in this chunk. */
  push(chunk: Uint8Array): string[] {
    const lines: string[] = [];
    let from = 0;
    for (let end = chunk.indexOf(LINE_FEED); end >= 0; end = chunk.indexOf(LINE_FEED, from)) {
      this.#take(chunk.subarray(from, end));
      if (!this.#skipping) lines.push(this.#line());
      this.#reset();
      from = end + 1;
    }
    this.#take(chunk.subarray(from));
    return lines;
  }

  /** The last line, if it lacks its end. */
  end(): string[] {
    const line = this.#skipping || this.#length === 0 ? [] : [this.#line()];
    this.#reset();
    return line;
  }

  #take(part: Uint8Array): void {
    if (this.#skipping || part.length === 0) return;
    if (this.#length + part.length > this.#maxBytes) {
      this.#reset();
      this.#skipping = true;
      return;
    }
    // A copy: a part of a chunk would hold all of it in memory.
    this.#parts.push(Uint8Array.from(part));
    this.#length += part.length;
  }

  #line(): string {
    return Buffer.concat(this.#parts).toString("utf8").replace(/\r$/, "");
  }

  #reset(): void {
    this.#parts = [];
    this.#length = 0;
    this.#skipping = false;
  }
}
