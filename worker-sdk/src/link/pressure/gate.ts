/** A measure with its two watermarks: whether it pauses the worker, since when, and its last value. */
import type { Watermarks } from "../../options/backpressure.ts";

/** Shortest pause, milliseconds: a measure that swings across both watermarks does not change the worker more often. */
const SHORTEST_MS = 1_000;

export class Gate {
  readonly high: number;
  readonly low: number;
  #value = 0;
  #closedAtMs: number | undefined;

  constructor([high, low]: Watermarks) {
    this.high = high;
    this.low = low;
  }

  /** The last value that was taken. */
  get value(): number {
    return this.#value;
  }

  /** When it paused the worker, in milliseconds of the monotonic clock; undefined while it does not. */
  get closedAtMs(): number | undefined {
    return this.#closedAtMs;
  }

  /** Takes a value; true when the gate opened or closed. Without a value, because it cannot be read, the gate is open. */
  take(value: number | undefined, nowMs: number): boolean {
    this.#value = value ?? 0;
    if (this.#closedAtMs === undefined) {
      if (value === undefined || value < this.high) return false;
      this.#closedAtMs = nowMs;
      return true;
    }
    if (value !== undefined && (value > this.low || nowMs - this.#closedAtMs < SHORTEST_MS)) return false;
    this.#closedAtMs = undefined;
    return true;
  }
}
