/** Waits of a case: for a message, the end of a stream or of a process. */
import type { Clock } from "../../clock.ts";
import { Mismatch } from "../mismatch.ts";

/** Longest wait for what a healthy worker does at once, on a machine that is busy. */
const PATIENT_MS = 12_000;

/** Notifies what waits when anything has happened. */
export class Changes {
  readonly #clock: Clock;
  readonly #startedMs: number;
  readonly #patience: number;
  #waiting: (() => void)[] = [];
  /** Why nothing can come any more; undefined while something can. */
  over: () => string | undefined = () => undefined;

  /** @param patience Factor of every limit. */
  constructor(clock: Clock, patience: number) {
    this.#clock = clock;
    this.#patience = patience;
    this.#startedMs = clock.monotonic();
  }

  /** Milliseconds since the case began. */
  get nowMs(): number {
    return this.#clock.monotonic() - this.#startedMs;
  }

  /** Something has happened. */
  notify(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }

  /**
   * The first result of `look` that is not undefined. It looks now, and whenever something happens.
   *
   * @param expected What is waited for, for the failure.
   * @param came What came instead.
   * @throws Mismatch after `withinMs`, or when nothing can come any more.
   */
  async until<T>(
    expected: string,
    look: () => T | undefined,
    {
      withinMs = PATIENT_MS,
      came = () => "it did not come",
    }: { withinMs?: number; came?: () => string } = {},
  ): Promise<T> {
    const limitMs = withinMs * this.#patience;
    const endMs = this.#clock.monotonic() + limitMs;
    for (;;) {
      const found = look();
      if (found !== undefined) return found;
      const over = this.over();
      if (over !== undefined) throw new Mismatch(expected, `${over}; ${came()}`);
      const leftMs = endMs - this.#clock.monotonic();
      if (leftMs <= 0) throw new Mismatch(`${expected} within ${seconds(limitMs)}`, came());
      await new Promise<void>((resolve) => {
        const cancel = this.#clock.after(leftMs, resolve);
        this.#waiting.push(() => {
          cancel();
          resolve();
        });
      });
    }
  }

  /** Calls back once after `ms`. */
  after(ms: number, callback: () => void): void {
    this.#clock.after(ms, callback);
  }

  /** Lets time pass in which something must not happen, or happens on the worker's side. */
  pass(ms: number): Promise<void> {
    return this.#clock.sleep(ms);
  }
}

/** `1.5 s`. */
export function seconds(ms: number): string {
  return `${Math.round(ms / 10) / 100} s`;
}
