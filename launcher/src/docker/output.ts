/** What a container has written: how much, when last, and the end of it. */

/** Characters of output that are kept. */
const TAIL_CHARACTERS = 16 * 1024;

/** Bytes that are kept: a character has at most four. */
const TAIL_BYTES = 4 * TAIL_CHARACTERS;

/** Before each part of a container's output: its stream, and its length. */
const HEADER_BYTES = 8;

/** The engine puts the time before each line. */
const TIME = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z) /;

/** Longest time with the space after it. */
const TIME_BYTES = 31;

/** Collects the frames of the engine; a frame may arrive in several parts. */
export class ContainerOutput {
  /** Bytes of what was read. */
  bytes = 0;
  /** When the last line was written, milliseconds since the epoch; undefined while there is none. */
  changedMs: number | undefined;
  #pending = Buffer.alloc(0);
  readonly #tail: Buffer[] = [];
  #tailBytes = 0;

  /** Takes a chunk of the stream. */
  add(chunk: Buffer): void {
    let rest = this.#pending.length > 0 ? Buffer.concat([this.#pending, chunk]) : chunk;
    while (rest.length >= HEADER_BYTES) {
      const length = rest.readUInt32BE(4);
      if (rest.length < HEADER_BYTES + length) break;
      this.#take(rest.subarray(HEADER_BYTES, HEADER_BYTES + length));
      rest = rest.subarray(HEADER_BYTES + length);
    }
    this.#pending = Buffer.from(rest);
  }

  /** The end of the output. */
  get tail(): string {
    return Buffer.concat(this.#tail).toString("utf8").slice(-TAIL_CHARACTERS);
  }

  #take(frame: Buffer): void {
    const time = TIME.exec(frame.subarray(0, TIME_BYTES).toString("latin1"));
    const text = time ? frame.subarray(time[0].length) : frame;
    const writtenMs = time ? Date.parse(time[1] ?? "") : Number.NaN;
    if (!Number.isNaN(writtenMs)) this.changedMs = writtenMs;
    this.bytes += text.length;
    // A copy: a part of a large chunk would keep all of it in memory.
    this.#tail.push(Buffer.from(text.subarray(-TAIL_BYTES)));
    this.#tailBytes += Math.min(text.length, TAIL_BYTES);
    while (this.#tailBytes - (this.#tail[0]?.length ?? 0) >= TAIL_BYTES)
      this.#tailBytes -= this.#tail.shift()?.length ?? 0;
  }
}
