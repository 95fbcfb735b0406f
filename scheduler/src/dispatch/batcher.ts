/** How a batcher groups. */
export interface BatcherOptions<I> {
  /** Most weight in one flush; a single heavier item goes alone. */
  readonly maxWeight: number;
  /** Weight of an item; 1 by default. */
  readonly weigh?: (item: I) => number;
}

interface Waiting<I, O> {
  readonly item: I;
  readonly weight: number;
  readonly resolve: (output: O) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Group commit: items that arrive while a flush is under way go together in the next one, so that an idle
 * system answers at once and a busy one in large batches. One flush at a time, in order of arrival.
 */
export class Batcher<I, O> {
  readonly #flush: (items: readonly I[]) => Promise<readonly O[]>;
  readonly #options: BatcherOptions<I>;
  #waiting: Waiting<I, O>[] = [];
  #running = false;
  #idle: (() => void)[] = [];

  /** @param flush Answers one output for each item, in order; a rejection is every item's. */
  constructor(flush: (items: readonly I[]) => Promise<readonly O[]>, options: BatcherOptions<I>) {
    this.#flush = flush;
    this.#options = options;
  }

  /** Items that wait for a flush. */
  get size(): number {
    return this.#waiting.length;
  }

  add(item: I): Promise<O> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, weight: this.#options.weigh?.(item) ?? 1, resolve, reject });
      if (!this.#running) {
        this.#running = true;
        // Items of the same turn (a frame of results, say) go together.
        queueMicrotask(() => this.#run());
      }
    });
  }

  /** Resolves when nothing waits and no flush is under way. */
  idle(): Promise<void> {
    if (!this.#running) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#take();
      try {
        const outputs = await this.#flush(batch.map(({ item }) => item));
        if (outputs.length !== batch.length) {
          throw new Error(`a flush of ${batch.length} items answered ${outputs.length}`);
        }
        batch.forEach(({ resolve }, index) => {
          resolve(outputs[index] as O);
        });
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    this.#running = false;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  #take(): Waiting<I, O>[] {
    let weight = 0;
    let count = 0;
    for (const waiting of this.#waiting) {
      if (count > 0 && weight + waiting.weight > this.#options.maxWeight) break;
      weight += waiting.weight;
      count++;
    }
    return this.#waiting.splice(0, count);
  }
}
