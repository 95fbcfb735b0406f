/** Tasks that succeeded within the last five minutes, by queue and type. */

/** Sums of the counts of all schedulers. */
export class RecentCompletions {
  readonly total: number;
  /** How old the counts are, milliseconds; undefined when that is not known. */
  readonly ageMs: number | undefined;
  readonly #byQueue = new Map<string, Map<string, number>>();

  constructor({
    counts,
    ageMs,
  }: {
    readonly counts: readonly { readonly queue: string; readonly type: string; readonly count: number }[];
    readonly ageMs: number | undefined;
  }) {
    for (const { queue, type, count } of counts) {
      const types = this.#byQueue.get(queue) ?? new Map<string, number>();
      this.#byQueue.set(queue, types.set(type, (types.get(type) ?? 0) + count));
    }
    this.total = counts.reduce((sum, { count }) => sum + count, 0);
    this.ageMs = ageMs;
  }

  ofQueue(queue: string): number {
    return [...(this.#byQueue.get(queue)?.values() ?? [])].reduce((sum, count) => sum + count, 0);
  }

  ofType(queue: string, type: string): number {
    return this.#byQueue.get(queue)?.get(type) ?? 0;
  }

  /** Sums by type over all queues. */
  byType(): Map<string, number> {
    const sums = new Map<string, number>();
    for (const types of this.#byQueue.values())
      for (const [type, count] of types) sums.set(type, (sums.get(type) ?? 0) + count);
    return sums;
  }

  *all(): Iterable<readonly [queue: string, type: string, count: number]> {
    for (const [queue, types] of this.#byQueue) for (const [type, count] of types) yield [queue, type, count];
  }
}
