/** Callbacks that are due at a moment, with one timer. */
import type { Clock } from "../clock.ts";

/** A callback that is due at a moment. */
export interface Deadline {
  dueMs: number;
  readonly callback: () => void;
}

/**
 * Any number of deadlines on one timer. Most are removed long before they are due (phases end, runs finish), so adding
 * and removing cost as much as in a set, and only a timer that fires scans all of them.
 */
export class Deadlines {
  readonly #clock: Clock;
  readonly #pending = new Set<Deadline>();
  #armedForMs = Number.POSITIVE_INFINITY;
  #disarm: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Deadlines that are neither reached nor removed. */
  get size(): number {
    return this.#pending.size;
  }

  /** Calls `callback` once, `delayMs` from now. */
  add(delayMs: number, callback: () => void): Deadline {
    const deadline = { dueMs: this.#clock.monotonicMs() + delayMs, callback };
    this.#pending.add(deadline);
    this.#arm(deadline.dueMs);
    return deadline;
  }

  /** Removes a deadline; one that was reached or removed before is ignored. */
  remove(deadline: Deadline | undefined): void {
    if (deadline === undefined) return;
    this.#pending.delete(deadline);
    if (this.#pending.size === 0) this.clear();
  }

  /** Moves a deadline that is still pending. */
  postpone(deadline: Deadline, delayMs: number): void {
    if (!this.#pending.has(deadline)) return;
    // The timer stays: it fires early, finds nothing due, and is set again.
    deadline.dueMs = this.#clock.monotonicMs() + delayMs;
    this.#arm(deadline.dueMs);
  }

  /** Removes every deadline. */
  clear(): void {
    this.#pending.clear();
    this.#disarm?.();
    this.#disarm = undefined;
    this.#armedForMs = Number.POSITIVE_INFINITY;
  }

  #arm(dueMs: number): void {
    if (dueMs >= this.#armedForMs) return;
    this.#disarm?.();
    this.#armedForMs = dueMs;
    this.#disarm = this.#clock.after(dueMs - this.#clock.monotonicMs(), () => this.#fire());
  }

  #fire(): void {
    this.#disarm = undefined;
    this.#armedForMs = Number.POSITIVE_INFINITY;
    const nowMs = this.#clock.monotonicMs();
    const due = [...this.#pending].filter((deadline) => deadline.dueMs <= nowMs);
    for (const deadline of due) this.#pending.delete(deadline);
    for (const deadline of due) deadline.callback();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const deadline of this.#pending) nextMs = Math.min(nextMs, deadline.dueMs);
    if (nextMs !== Number.POSITIVE_INFINITY) this.#arm(nextMs);
  }
}
