/** Writes log lines to standard output without blocking. */
import { writeSync } from "node:fs";
import type { Clock } from "../../clock.ts";

/** Where lines go, and who learns of its faults. */
export interface StandardOutputOptions {
  /** The file descriptor: 1, except in tests. */
  readonly fd: number;
  readonly clock: Clock;
  /** Called when lines can no longer be written, once until they can again. */
  readonly onFault: (error: Error) => void;
  /** Called when lines are written again, with how many are missing. */
  readonly onRecovered: (lostLines: number) => void;
}

/** What is kept for a reader that does not read, bytes: some 10,000 lines. */
const KEPT_BYTES = 4 * 1024 * 1024;

/** How often a reader that does not read is tried, milliseconds. */
const TRY_MS = 50;

/** What a slow reader gets at the end of the process, milliseconds. */
const LAST_LINES_MS = 500;

/**
 * Lines for standard output. A write is done when `write` returns, as long as its reader keeps up. A full pipe, a full
 * disk or a closed reader neither blocks nor ends the process: lines are kept up to a bound, then left out and counted.
 */
export class StandardOutput {
  readonly #options: StandardOutputOptions;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #lost = 0;
  #closed = false;
  #cancelTry: (() => void) | undefined;

  constructor(options: StandardOutputOptions) {
    this.#options = options;
  }

  /** Never throws. */
  write(line: string): void {
    if (this.#closed) return;
    const bytes = Buffer.from(line);
    if (this.#waitingBytes + bytes.length > KEPT_BYTES) this.#lose(new Error("its reader does not read"));
    else {
      this.#waiting.push(bytes);
      this.#waitingBytes += bytes.length;
    }
    this.#flush();
  }

  /** Writes what waits, within half a second, and ends. */
  close(): void {
    const until = this.#options.clock.monotonic() + LAST_LINES_MS;
    this.#flush();
    const cell = new Int32Array(new SharedArrayBuffer(4));
    while (this.#waiting.length > 0 && this.#options.clock.monotonic() < until) {
      Atomics.wait(cell, 0, 0, TRY_MS / 5);
      this.#flush();
    }
    this.#closed = true;
    this.#cancelTry?.();
  }

  #flush(): void {
    this.#cancelTry?.();
    this.#cancelTry = undefined;
    for (let [line] = this.#waiting; line !== undefined; [line] = this.#waiting) {
      try {
        this.#wrote(line, writeSync(this.#options.fd, line));
      } catch (error) {
        if (!this.#goesOn(error)) return;
      }
    }
  }

  #wrote(line: Buffer, count: number): void {
    this.#waitingBytes -= count;
    if (count < line.length) {
      this.#waiting[0] = line.subarray(count);
      return;
    }
    this.#waiting.shift();
    if (this.#lost === 0 || this.#waiting.length > 0) return;
    const lost = this.#lost;
    this.#lost = 0;
    this.#options.onRecovered(lost);
  }

  /** True when the next line is to be tried. */
  #goesOn(error: unknown): boolean {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "EINTR") return true;
    if (code === "EAGAIN") {
      this.#cancelTry = this.#options.clock.after(TRY_MS, () => this.#flush());
      return false;
    }
    const [line] = this.#waiting.splice(0, 1);
    this.#waitingBytes -= line?.length ?? 0;
    if (code === "EPIPE") {
      // The reader of the pipe is gone, as when `| head` ends.
      this.#closed = true;
      this.#waiting = [];
    } else this.#lose(error instanceof Error ? error : new Error(String(error)));
    return true;
  }

  #lose(error: Error): void {
    this.#lost += 1;
    if (this.#lost === 1) this.#options.onFault(error);
  }
}
