// Steps of a stop that share one time limit.
import type { Clock } from "../clock.ts";

const LATE = Symbol("late");

/** Waits for steps until a common deadline, and keeps the names of those that did not end by then. */
export class TimeLimit {
  readonly #clock: Clock;
  readonly #endsAt: number;
  readonly unfinished: string[] = [];

  /** @param limitMs From now on. */
  constructor(clock: Clock, limitMs: number) {
    this.#clock = clock;
    this.#endsAt = clock.monotonic() + limitMs;
  }

  get leftMs(): number {
    return Math.max(0, this.#endsAt - this.#clock.monotonic());
  }

  /** Waits for a step, which may hang on a frozen database, until the deadline. @throws the step's error */
  async within(step: string, work: Promise<unknown>): Promise<void> {
    const done = new AbortController();
    const late = this.#clock.sleep(this.leftMs, done.signal).then(() => LATE);
    const first = await Promise.race([work, late]).finally(() => done.abort());
    if (first === LATE) this.unfinished.push(step);
  }
}
