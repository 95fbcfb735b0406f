/** Numbers the workers so that those that serve the same queues and types have one number. */

/** What makes a worker one of a group. */
interface Served {
  readonly queues: ReadonlySet<string>;
  readonly types: ReadonlyMap<string, unknown>;
}

/** Groups of which a number is kept. Beyond it two groups may have one number: their shares are then less exact. */
const MAX_GROUPS = 1_000;

export class WorkerGroups {
  readonly #numbers = new Map<string, number>();
  readonly #known = new WeakMap<Served, number>();

  of(worker: Served): number {
    const known = this.#known.get(worker);
    if (known !== undefined) return known;
    const number = this.#numberOf(
      JSON.stringify([[...worker.queues].sort(), [...worker.types.keys()].sort()]),
    );
    this.#known.set(worker, number);
    return number;
  }

  #numberOf(signature: string): number {
    const known = this.#numbers.get(signature);
    if (known !== undefined) return known;
    if (this.#numbers.size >= MAX_GROUPS) this.#numbers.clear();
    const number = this.#numbers.size;
    this.#numbers.set(signature, number);
    return number;
  }
}
