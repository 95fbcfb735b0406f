import { closeSync, fstatSync, mkdirSync, openSync, renameSync, rmSync, statSync, writeSync } from "node:fs";
import { dirname } from "node:path";

/** How a file is turned over. */
export interface RollingFileOptions {
  readonly path: string;
  /** Turned over before it gets larger than this, at the end of a line. */
  readonly maxBytes: number;
  /** Older files that are kept, as `path.1` (the youngest) to `path.N`. */
  readonly keep: number;
  /** Told when lines can no longer be written, once until they can again. */
  readonly onFault: (error: Error) => void;
  /** Told when lines are written again, with how many writes were lost meanwhile. */
  readonly onRecovered: (lostWrites: number) => void;
}

const LINE_FEED = 0x0a;

/**
 * A file that lines are appended to and that is turned over by size: what a crash leaves behind is whole,
 * because every write is done when `write` returns. The names are those of logrotate. When another process
 * turned the file over, this one goes on in the new file instead of turning it over again.
 */
export class RollingFile {
  readonly #options: RollingFileOptions;
  #fd: number;
  #size: number;
  #atLineStart = true;
  #lost = 0;

  /** @throws Error when the file cannot be opened; its folder is made. */
  constructor(options: RollingFileOptions) {
    this.#options = options;
    mkdirSync(dirname(options.path), { recursive: true });
    this.#fd = openSync(options.path, "a");
    this.#size = fstatSync(this.#fd).size;
  }

  /** Appends; never throws: a log that cannot be written must not end what it tells of. */
  write(data: string | Uint8Array): void {
    const bytes = typeof data === "string" ? Buffer.from(data) : data;
    try {
      this.#append(bytes);
    } catch (error) {
      this.#lost += 1;
      if (this.#lost === 1) this.#options.onFault(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    if (this.#lost === 0) return;
    const lost = this.#lost;
    this.#lost = 0;
    this.#options.onRecovered(lost);
  }

  close(): void {
    closeSync(this.#fd);
  }

  #append(bytes: Uint8Array): void {
    if (this.#size === 0 || this.#size + bytes.length <= this.#options.maxBytes) return this.#put(bytes);
    // A line that was begun is ended first.
    const end = this.#atLineStart ? 0 : bytes.indexOf(LINE_FEED) + 1;
    if (end === 0 && !this.#atLineStart) return this.#put(bytes);
    this.#put(bytes.subarray(0, end));
    this.#turnOver();
    this.#put(bytes.subarray(end));
  }

  #put(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const written = writeSync(this.#fd, bytes, at, bytes.length - at);
      this.#size += written;
      at += written;
      this.#atLineStart = bytes[at - 1] === LINE_FEED;
    }
  }

  #turnOver(): void {
    const { path, keep } = this.#options;
    const here = statSync(path, { throwIfNoEntry: false });
    if (here?.ino === fstatSync(this.#fd).ino) {
      rmSync(`${path}.${keep}`, { force: true });
      for (let number = keep - 1; number >= 1; number--) {
        if (statSync(`${path}.${number}`, { throwIfNoEntry: false }))
          renameSync(`${path}.${number}`, `${path}.${number + 1}`);
      }
      renameSync(path, `${path}.1`);
    }
    const fd = openSync(path, "a");
    closeSync(this.#fd);
    this.#fd = fd;
    this.#size = fstatSync(fd).size;
  }
}
