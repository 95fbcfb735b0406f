/** Limits of a batcher. */
export interface BatcherOptions<I> {
  /** Largest weight of one flush; a heavier item is flushed alone. */
  readonly maxWeight: number;
  /** Weight of an item; 1 by default. */
  readonly weigh?: (item: I) => number;
  /**
   * Largest number of concurrent flushes; 1 by default. A further one begins only when half of a full batch waits, so
   * that a moderate load still forms batches.
   */
  readonly lanes?: number;
}

interface Waiting<I, O> {
  readonly item: I;
  readonly weight: number;
  readonly resolve: (output: O) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Group commit: items that arrive during a flush share the next one, so that an idle system answers at once and a busy
 * one in large batches. Flushes begin in order of arrival.
 */
export class Batcher<I, O> {
  readonly #flush: (items: readonly I[]) => Promise<readonly O[]>;
  readonly #options: BatcherOptions<I>;
  #waiting: Waiting<I, O>[] = [];
  #waitingWeight = 0;
  #running = 0;
  #scheduled = false;
  #idle: (() => void)[] = [];

  /** @param flush Returns one output for each item, in order; a rejection rejects every item. */
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
      const weight = this.#options.weigh?.(item) ?? 1;
      this.#waiting.push({ item, weight, resolve, reject });
      this.#waitingWeight += weight;
      if (this.#scheduled || !this.#mayBegin()) return;
      this.#scheduled = true;
      // Items of the same turn of the loop (a frame of results, for example) share a flush.
      queueMicrotask(() => {
        this.#scheduled = false;
        if (this.#mayBegin()) void this.#run();
      });
    });
  }

  /** Resolves when nothing waits and no flush runs. */
  idle(): Promise<void> {
    if (this.#running === 0 && this.#waiting.length === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  #mayBegin(): boolean {
    if (this.#waiting.length === 0) return false;
    const { lanes = 1, maxWeight } = this.#options;
    return this.#running === 0 || (this.#running < lanes && this.#waitingWeight >= maxWeight / 2);
  }

  async #run(): Promise<void> {
    this.#running++;
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
      // One flush is enough for the rest of a moderate load.
      if (this.#running > 1 && this.#waitingWeight < this.#options.maxWeight / 2) break;
    }
    this.#running--;
    if (this.#running > 0 || this.#waiting.length > 0) return;
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
    this.#waitingWeight -= weight;
    return this.#waiting.splice(0, count);
  }
}
