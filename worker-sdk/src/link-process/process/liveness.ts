/** Whether the loop and the interpreter of a worker turn. */
import { closeSync, openSync, readSync, writeFileSync } from "node:fs";
import type { BlockedPart } from "../../link/shared.ts";

/** Size of the tick file in bytes. */
const TICK_BYTES = 64;

/** A part that turned less than this ago is not blocked: parts turn at least every 0.5 s. */
export const BLOCKED_AFTER_MS = 1_000;

/** The state of the worker at a moment. */
export interface Turns {
  /** When the loop last turned, on the monotonic clock. */
  readonly lastTurnMs: number;
  /** What does not turn; undefined when all does. */
  readonly blocked: BlockedPart | undefined;
}

/** Derives from two counters what is blocked. A counter that has never moved says nothing. */
export class Liveness {
  #loop = { value: 0n, atMs: 0 };
  #thread = { value: 0n, atMs: 0 };

  /** The counters as they are now. */
  look(loop: bigint, thread: bigint, nowMs: number): Turns {
    if (loop !== this.#loop.value) this.#loop = { value: loop, atMs: nowMs };
    if (thread !== this.#thread.value) this.#thread = { value: thread, atMs: nowMs };
    const isLate = ({ value, atMs }: { value: bigint; atMs: number }): boolean =>
      value !== 0n && nowMs - atMs >= BLOCKED_AFTER_MS;
    const threadLate = isLate(this.#thread);
    const lastTurnMs = this.#loop.value === 0n ? this.#thread.atMs : this.#loop.atMs;
    if (threadLate) return { lastTurnMs, blocked: "interpreter" };
    return isLate(this.#loop) ? { lastTurnMs, blocked: "loop" } : { lastTurnMs: nowMs, blocked: undefined };
  }
}

/** The file in which a worker counts. */
export class TickFile {
  readonly path: string;
  readonly #descriptor: number;
  readonly #bytes = Buffer.alloc(16);
  readonly #liveness = new Liveness();

  constructor(path: string) {
    this.path = path;
    writeFileSync(path, Buffer.alloc(TICK_BYTES), { mode: 0o600, flag: "wx" });
    this.#descriptor = openSync(path, "r");
  }

  look(nowMs: number): Turns {
    readSync(this.#descriptor, this.#bytes, 0, 16, 0);
    return this.#liveness.look(this.#bytes.readBigUInt64LE(0), this.#bytes.readBigUInt64LE(8), nowMs);
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}
