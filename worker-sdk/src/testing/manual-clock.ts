/** The clock of unit tests. */
import type { Clock } from "../clock.ts";

/** A clock that moves when the test says so. */
export class ManualClock implements Clock {
  #nowMs = 0;
  readonly #timers = new Set<{ dueMs: number; periodMs: number; callback: () => void }>();

  get timerCount(): number {
    return this.#timers.size;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, callback: () => void): () => void {
    return this.#add(delayMs, 0, callback);
  }

  every(periodMs: number, callback: () => void): () => void {
    return this.#add(periodMs, periodMs, callback);
  }

  advance(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (;;) {
      const next = [...this.#timers].sort((a, b) => a.dueMs - b.dueMs)[0];
      if (next === undefined || next.dueMs > endMs) break;
      this.#nowMs = next.dueMs;
      if (next.periodMs > 0) next.dueMs += next.periodMs;
      else this.#timers.delete(next);
      next.callback();
    }
    this.#nowMs = endMs;
  }

  /** Time passes and no timer fires, as when the process is stopped. */
  jump(ms: number): void {
    this.#nowMs += ms;
    for (const timer of this.#timers) if (timer.dueMs < this.#nowMs) timer.dueMs = this.#nowMs;
  }

  #add(delayMs: number, periodMs: number, callback: () => void): () => void {
    const timer = { dueMs: this.#nowMs + delayMs, periodMs, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }
}
