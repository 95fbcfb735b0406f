/** Writes log lines without blocking. */
import { writeSync } from "node:fs";
import { systemClock } from "../clock.ts";

/** Most bytes that are kept for a reader that does not read: some 10,000 lines. */
const KEPT_BYTES = 4 * 1024 * 1024;

/**
 * Interval of retries for a reader that does not read, and the longest wait at the end of the process, milliseconds.
 */
const TRY_MS = 50;
const LAST_LINES_MS = 500;

/**
 * Output of the log of a worker. A line is written when `write` returns, as long as that is possible. A full disk, a
 * full pipe or a closed one neither blocks nor ends the process: lines are kept up to a bound, then dropped and
 * counted.
 */
export class LogOutput {
  readonly #fd: number;
  readonly #onRecovered: (lostLines: number) => void;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #lost = 0;
  #stopTrying: (() => void) | undefined;

  /** @param onRecovered Called when lines are written again, with how many are missing. */
  constructor(fd: number, onRecovered: (lostLines: number) => void) {
    this.#fd = fd;
    this.#onRecovered = onRecovered;
    process.once("exit", () => this.#writeRest());
  }

  /** Never throws. */
  write(line: string): void {
    const bytes = Buffer.from(line);
    if (this.#waitingBytes + bytes.length > KEPT_BYTES) this.#lost += 1;
    else {
      this.#waiting.push(bytes);
      this.#waitingBytes += bytes.length;
    }
    this.#flush();
  }

  #flush(): void {
    while (this.#waiting.length > 0) if (!this.#writeFirst()) return;
    this.#stopTrying?.();
    this.#stopTrying = undefined;
  }

  /** False when the first line has to wait. */
  #writeFirst(): boolean {
    const [line] = this.#waiting;
    if (line === undefined) return true;
    try {
      const count = writeSync(this.#fd, line);
      this.#waitingBytes -= count;
      if (count < line.length) this.#waiting[0] = line.subarray(count);
      else this.#waiting.shift();
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      if (code === "EINTR") return true;
      if (code === "EAGAIN") {
        this.#stopTrying ??= systemClock.every(TRY_MS, () => this.#flush());
        return false;
      }
      this.#waiting.shift();
      this.#waitingBytes -= line.length;
      this.#lost += 1;
      return true;
    }
    if (this.#lost > 0 && this.#waiting.length === 0) {
      const lost = this.#lost;
      this.#lost = 0;
      this.#onRecovered(lost);
    }
    return true;
  }

  #writeRest(): void {
    const until = systemClock.monotonicMs() + LAST_LINES_MS;
    const cell = new Int32Array(new SharedArrayBuffer(4));
    this.#flush();
    while (this.#waiting.length > 0 && systemClock.monotonicMs() < until) {
      Atomics.wait(cell, 0, 0, TRY_MS / 5);
      this.#flush();
    }
  }
}
