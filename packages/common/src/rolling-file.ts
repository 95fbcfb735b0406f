/** A file that is rotated by size. */
import { closeSync, fstatSync, mkdirSync, openSync, renameSync, rmSync, statSync, writeSync } from "node:fs";
import { dirname } from "node:path";

/** How a file is rotated. */
export interface RollingFileOptions {
  readonly path: string;
  /** Rotated before it gets larger than this, at the end of a line. */
  readonly maxBytes: number;
  /** Older files that are kept, as `path.1` (the youngest) to `path.N`. */
  readonly keep: number;
  /** Called when a write fails, once until writes succeed again. */
  readonly onFault: (error: Error) => void;
  /** Called when writes succeed again, with how many were lost meanwhile. */
  readonly onRecovered: (lostWrites: number) => void;
}

const LINE_FEED = 0x0a;

/**
 * A file that lines are appended to, rotated by size. A crash leaves whole lines behind, because every write is done
 * when `write` returns. The names are those of logrotate. After another process has rotated the file, this one goes
 * on in the new file instead of rotating it again.
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

  /** Appends; never throws: a log that cannot be written must not end the program that writes it. */
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
    // The line that has begun is completed first.
    const end = this.#atLineStart ? 0 : bytes.indexOf(LINE_FEED) + 1;
    if (end === 0 && !this.#atLineStart) return this.#put(bytes);
    this.#put(bytes.subarray(0, end));
    this.#rotate();
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

  #rotate(): void {
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
