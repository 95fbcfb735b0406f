import { monotonicMs } from "../lab/monotonic.ts";
import type { Handled } from "./agent-messages.ts";
import type { Payload } from "./driver.ts";

/** Counts the handlers that began in this process. */
export class Tally {
  #expected = Number.POSITIVE_INFINITY;
  #count = 0;
  #firstAt = 0;
  #lastAt = 0;
  #latencies: number[] = [];
  #reached = Promise.withResolvers<void>();

  reset(expected: number): void {
    this.#expected = expected;
    this.#count = 0;
    this.#firstAt = 0;
    this.#lastAt = 0;
    this.#latencies = [];
    this.#reached = Promise.withResolvers<void>();
  }

  /** To be called as a handler begins. */
  readonly onStart = (payload: Payload): void => {
    this.#count++;
    // A clock read for each task would be charged to the systems with many handlers alike, but for nothing.
    if (this.#count === 1 || payload.at > 0 || this.#count >= this.#expected) {
      const now = monotonicMs();
      if (this.#count === 1) this.#firstAt = now;
      if (payload.at > 0) this.#latencies.push(now - payload.at);
      this.#lastAt = now;
    }
    if (this.#count >= this.#expected) this.#reached.resolve();
  };

  handled(withLatencies: boolean): Handled {
    return {
      count: this.#count,
      firstAt: this.#firstAt,
      lastAt: this.#lastAt,
      latenciesMs: withLatencies ? this.#latencies : [],
    };
  }

  /** Resolves when as many handlers as expected have begun. */
  reached(): Promise<void> {
    return this.#reached.promise;
  }
}
