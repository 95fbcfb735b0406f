/** Counters of the worker's process. */
import { Tally } from "./tally.ts";

/** Totals since the process started. */
export class Counters {
  /** Pauses by reason. */
  readonly pauses = new Tally();
  /** Failures that may be tried again, by code. */
  readonly retries = new Tally();
  /** Calls of batch handlers, and the attempts that they were given, by task type. */
  readonly batches = new Tally();
  readonly batchMembers = new Tally();
  /** Changes of limits that adapt, by task type. */
  readonly limitChanges = new Tally();
  /** Lines of handlers that were not sent, by why. */
  readonly droppedLines = new Tally(["attempt_limit", "buffer", "not_wanted"]);
  readonly #totals = new Map<string, bigint>();

  /** Adds to a total. */
  add(name: string, count = 1): void {
    this.#totals.set(name, (this.#totals.get(name) ?? 0n) + BigInt(count));
  }

  /** Sets a total. */
  set(name: string, value: bigint): void {
    this.#totals.set(name, value);
  }

  /** A total. */
  get(name: string): number {
    return Number(this.#totals.get(name) ?? 0n);
  }

  /** Every total by name. */
  totals(): Record<string, bigint> {
    return Object.fromEntries(this.#totals);
  }
}
