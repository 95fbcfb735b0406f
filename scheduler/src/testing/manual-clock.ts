/** The clock of unit tests. */
import type { Clock } from "../clock.ts";

/** The wall clock when the monotonic one is at 0. */
const EPOCH_MS = Date.UTC(2030, 0, 1);

interface Timer {
  readonly at: number;
  readonly fn: () => void;
}

/** A clock for unit tests: it stands still until the test moves it on, and its timers then go off in order. */
export class ManualClock implements Clock {
  /** Durations of all sleeps so far, in order. */
  readonly slept: number[] = [];
  #ms = 0;
  #timers: Timer[] = [];

  now(): number {
    return EPOCH_MS + this.#ms;
  }

  monotonic(): number {
    return this.#ms;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    this.slept.push(ms);
    if (signal?.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = this.after(ms, resolve);
      signal?.addEventListener("abort", () => {
        cancel();
        resolve();
      });
    });
  }

  after(ms: number, fn: () => void): () => void {
    const timer = { at: this.#ms + ms, fn };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((each) => each !== timer);
    };
  }

  /** Moves on by `ms`, from timer to timer; after each, what it started runs until it waits. */
  async pass(ms: number): Promise<void> {
    const end = this.#ms + ms;
    await settled();
    for (let next = this.#next(end); next; next = this.#next(end)) {
      this.#timers = this.#timers.filter((each) => each !== next);
      this.#ms = Math.max(this.#ms, next.at);
      next.fn();
      await settled();
    }
    this.#ms = end;
  }

  #next(end: number): Timer | undefined {
    let first: Timer | undefined;
    for (const timer of this.#timers) if (timer.at <= end && (!first || timer.at < first.at)) first = timer;
    return first;
  }
}

/** Resolves when every promise that waits for nothing outside has run on: fakes answer without timers or sockets. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
}
