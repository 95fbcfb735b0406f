/** Wakes the renewal of leases, after which the reaper runs, when the grace of a dropped stream ends. */
import type { Clock } from "../clock.ts";

/** Sessions whose grace ends within this time of each other are looked at together, milliseconds. */
const APART_MS = 100;

/** How much sooner a timer may fire, and the database's clock be behind, over a grace; milliseconds. */
const MARGIN_MS = 5;

/**
 * Without it a lost worker keeps its attempts until the next regular renewal, up to a heartbeat interval longer. It sets
 * no timer while no stream drops.
 */
export class GraceEnds {
  readonly #clock: Pick<Clock, "after" | "monotonic">;
  readonly #graceMs: number;
  readonly #wake: () => void;
  /** When to look, in order; monotonic, in units of `APART_MS`. */
  readonly #ends: number[] = [];
  #cancel: (() => void) | undefined;

  constructor(clock: Pick<Clock, "after" | "monotonic">, graceMs: number, wake: () => void) {
    this.#clock = clock;
    this.#graceMs = graceMs;
    this.#wake = wake;
  }

  /** A stream has dropped, and the database has it. */
  noteDrop(): void {
    const end = Math.ceil((this.#clock.monotonic() + this.#graceMs + MARGIN_MS) / APART_MS);
    if (this.#ends.at(-1) !== end) this.#ends.push(end);
    if (!this.#cancel) this.#waitForFirst();
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#ends.length = 0;
  }

  #waitForFirst(): void {
    const [end] = this.#ends;
    this.#cancel = undefined;
    if (end === undefined) return;
    this.#cancel = this.#clock.after(Math.max(0, end * APART_MS - this.#clock.monotonic()), () => {
      this.#ends.shift();
      this.#wake();
      this.#waitForFirst();
    });
  }
}
