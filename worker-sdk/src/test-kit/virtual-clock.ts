/** The clock of tests: it stands still until the test moves it. */
import type { Clock } from "../clock.ts";

interface Timer {
  readonly periodMs: number | undefined;
  readonly callback: () => void;
  dueMs: number;
}

/**
 * A clock that stands still until `pass()`. Timeouts, watchdogs, the limit of progress reports and the times of a run use it;
 * timers that a handler sets itself do not.
 *
 * @example
 * ```ts
 * const run = worker.start("slow", null, { timeouts: { runS: 60 } });
 * await worker.clock.pass(60);
 * assert.equal((await run.ended).failure?.code, "TIMED_OUT");
 * ```
 */
export class VirtualClock {
  readonly #timers = new Set<Timer>();
  #nowMs = 0;

  /** Seconds that have passed. */
  get nowS(): number {
    return this.#nowMs / 1000;
  }

  /**
   * Moves the clock by `seconds`, from timer to timer. Between two timers it waits until the code that the first one has
   * started waits for something itself.
   *
   * @throws RangeError when it is not a number of seconds from 0.
   */
  async pass(seconds: number): Promise<void> {
    if (!(Number.isFinite(seconds) && seconds >= 0))
      throw new RangeError(`pass(${seconds}): give a number of seconds from 0`);
    const endMs = this.#nowMs + seconds * 1000;
    await turn();
    for (let timer = this.#next(endMs); timer !== undefined; timer = this.#next(endMs)) {
      this.#nowMs = Math.max(this.#nowMs, timer.dueMs);
      if (timer.periodMs === undefined) this.#timers.delete(timer);
      else timer.dueMs += timer.periodMs;
      timer.callback();
      await turn();
    }
    this.#nowMs = endMs;
  }

  /** @internal The clock as a worker's parts use it. */
  readonly clock: Clock = {
    monotonicMs: () => this.#nowMs,
    after: (delayMs, callback) =>
      this.#add({ dueMs: this.#nowMs + Math.max(0, delayMs), periodMs: undefined, callback }),
    every: (periodMs, callback) => this.#add({ dueMs: this.#nowMs + periodMs, periodMs, callback }),
  };

  #add(timer: Timer): () => void {
    this.#timers.add(timer);
    return () => {
      this.#timers.delete(timer);
    };
  }

  #next(endMs: number): Timer | undefined {
    let first: Timer | undefined;
    for (const timer of this.#timers)
      if (timer.dueMs <= endMs && (first === undefined || timer.dueMs < first.dueMs)) first = timer;
    return first;
  }
}

/** Resolves when every promise callback that is ready has run, and what these have started in turn. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
}
