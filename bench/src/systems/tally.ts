import { monotonicMs } from "../lab/monotonic.ts";
import type { Handled } from "./agent-messages.ts";
import type { Payload } from "./driver.ts";

/** Counts the handlers that began in this process. */
export class Tally {
  #count = 0;
  #firstAt = 0;
  #latencies: number[] = [];

  reset(): void {
    this.#count = 0;
    this.#firstAt = 0;
    this.#latencies = [];
  }

  /** Called when a handler begins. Reads the clock only when times are recorded. */
  readonly onStart = (payload: Payload): void => {
    this.#count++;
    if (this.#count > 1 && payload.at === 0) return;
    const now = monotonicMs();
    if (this.#count === 1) this.#firstAt = now;
    if (payload.at > 0) this.#latencies.push(now - payload.at);
  };

  handled(withLatencies: boolean): Handled {
    return {
      count: this.#count,
      firstAt: this.#firstAt,
      latenciesMs: withLatencies ? this.#latencies : [],
    };
  }
}
