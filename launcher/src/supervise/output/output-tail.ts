/** Keeps the last bytes of a stream in a ring buffer. */
export class OutputTail {
  readonly #ring: Buffer;
  #written = 0;

  /** @param maxBytes How much is kept. */
  constructor(maxBytes: number) {
    this.#ring = Buffer.alloc(maxBytes);
  }

  push(chunk: Uint8Array): void {
    const size = this.#ring.length;
    const kept = chunk.subarray(Math.max(0, chunk.length - size));
    this.#written += chunk.length - kept.length;
    const at = this.#written % size;
    const room = Math.min(kept.length, size - at);
    this.#ring.set(kept.subarray(0, room), at);
    this.#ring.set(kept.subarray(room), 0);
    this.#written += kept.length;
  }

  /**
   * The kept bytes as text of at most the same size. Invalid UTF-8 becomes U+FFFD, and so does NUL, which PostgreSQL
   * does not store. A partial character at the start is omitted.
   */
  text(): string {
    const size = this.#ring.length;
    const at = this.#written % size;
    const bytes =
      this.#written <= size
        ? this.#ring.subarray(0, this.#written)
        : Buffer.concat([this.#ring.subarray(at), this.#ring.subarray(0, at)]);
    const text = bytes.toString("utf8", this.#written > size ? characterStart(bytes) : 0);
    return lastBytes(text.replaceAll("\0", "\u{FFFD}"), size);
  }
}

/** Where the first whole character begins: at most three bytes continue one that was cut. */
function characterStart(bytes: Uint8Array): number {
  let at = 0;
  while (at < 3 && ((bytes[at] ?? 0) & 0xc0) === 0x80) at++;
  return at;
}

/** The end of a text that takes at most `max` bytes: a byte that became U+FFFD takes three. */
function lastBytes(text: string, max: number): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= max) return text;
  const end = bytes.subarray(bytes.length - max);
  return end.toString("utf8", characterStart(end));
}
