/** Refuses submits to queues in which too many tasks wait. */

import { queueFull } from "../../domain/refusals.ts";
import type { LimitedQueue, QueueStore } from "../../store/store.ts";
import type { Counters } from "../../telemetry/metrics/counters.ts";

/**
 * Of the room that a count found, a scheduler gives out this share before it counts again: the other schedulers count at
 * other times. This bounds by how much several of them together exceed a limit.
 */
const SHARE = 0.25;

/** A queue's limit, and what this scheduler makes of its depth. */
interface Entry {
  readonly queue: LimitedQueue;
  /** Admitted since the count began, and those that were being inserted then. */
  admitted: number;
}

/**
 * The queues that have a limit, with their depths as of the last count plus what was admitted since. Every poll counts; so
 * does a submit that would be refused otherwise, or that exceeds its share of the room.
 */
export class QueueLimits {
  readonly #store: Pick<QueueStore, "limitedQueues">;
  readonly #counters: Pick<Counters, "queueFull">;
  #entries = new Map<string, Entry>();
  /** Admitted and not inserted yet, by queue. */
  readonly #underWay = new Map<string, number>();
  #reading: Promise<void> | undefined;

  constructor(store: Pick<QueueStore, "limitedQueues">, counters: Pick<Counters, "queueFull">) {
    this.#store = store;
    this.#counters = counters;
  }

  /** True when no queue has a limit: then a submit costs nothing here. */
  get none(): boolean {
    return this.#entries.size === 0;
  }

  /** Reads the limits and counts. Calls that come meanwhile share the count. @throws DatabaseUnavailableError */
  refresh(): Promise<void> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  /**
   * Admits tasks, all or none. The answer is called when they are inserted, or not.
   *
   * @throws Refusal `QUEUE_FULL`. @throws DatabaseUnavailableError
   */
  async admit(tasks: readonly { readonly queue: string }[]): Promise<() => void> {
    const counts = new Map<string, number>();
    for (const { queue } of tasks)
      if (this.#entries.has(queue)) counts.set(queue, (counts.get(queue) ?? 0) + 1);
    if ([...counts].some(([queue, count]) => this.#mustCount(queue, count))) await this.#countAfresh();
    for (const [queue, count] of counts) {
      const entry = this.#entries.get(queue);
      if (entry && left(entry) < count) {
        this.#counters.queueFull.add(queue);
        throw queueFull(entry.queue, count);
      }
    }
    for (const [queue, count] of counts) this.#admitted(queue, count);
    return () => {
      for (const [queue, count] of counts) this.#settled(queue, count);
    };
  }

  /**
   * Admits as many of `wanted` tasks to a queue as it has room for. `settled` is called when they are there, or not.
   *
   * @throws DatabaseUnavailableError
   */
  async admitUpTo(
    queue: string,
    wanted: number,
  ): Promise<{ readonly count: number; readonly settled: () => void }> {
    if (this.#mustCount(queue, wanted)) await this.#countAfresh();
    const entry = this.#entries.get(queue);
    const count = entry ? Math.max(0, Math.min(wanted, left(entry))) : wanted;
    this.#admitted(queue, count);
    return { count, settled: () => this.#settled(queue, count) };
  }

  #mustCount(queue: string, count: number): boolean {
    const entry = this.#entries.get(queue);
    if (!entry) return false;
    const room = entry.queue.max - entry.queue.waiting;
    return left(entry) < count || entry.admitted + count > room * SHARE;
  }

  /** A count that began before may not have what was inserted since. */
  async #countAfresh(): Promise<void> {
    await this.#reading;
    await this.refresh();
  }

  async #read(): Promise<void> {
    const before = this.#entries;
    const counted = new Map<string, number>();
    for (const [queue, { admitted }] of before)
      counted.set(queue, admitted - (this.#underWay.get(queue) ?? 0));
    const limited = await this.#store.limitedQueues();
    this.#entries = new Map(
      limited.map((queue) => {
        const { name } = queue;
        // What was inserted when the count began is in it.
        const admitted = (before.get(name)?.admitted ?? 0) - (counted.get(name) ?? 0);
        return [name, { queue, admitted: Math.max(0, admitted) }];
      }),
    );
  }

  #admitted(queue: string, count: number): void {
    const entry = this.#entries.get(queue);
    if (entry) entry.admitted += count;
    this.#underWay.set(queue, (this.#underWay.get(queue) ?? 0) + count);
  }

  #settled(queue: string, count: number): void {
    const rest = (this.#underWay.get(queue) ?? 0) - count;
    if (rest > 0) this.#underWay.set(queue, rest);
    else this.#underWay.delete(queue);
  }
}

/** Tasks that may still be admitted, as far as this scheduler has counted. */
function left({ queue, admitted }: Entry): number {
  return queue.max - queue.waiting - admitted;
}
