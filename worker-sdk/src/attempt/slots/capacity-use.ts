/** Counts what the running handlers take of the worker's slots and capacities. */

/** What a task takes, by name; undefined for one slot. */
export type TaskCost = Readonly<Record<string, number>> | undefined;

/** Slots of a task. */
export function slotsOf(cost: TaskCost): number {
  return cost?.slots ?? 1;
}

/** A handler is started only when all that its task costs is free, whatever the scheduler has counted. */
export class CapacityUse {
  readonly #totals: ReadonlyMap<string, number>;
  readonly #slots: number;
  readonly #used = new Map<string, number>();
  #usedSlots = 0;

  constructor(slots: number, capacities: Readonly<Record<string, number>>) {
    this.#slots = slots;
    this.#totals = new Map(Object.entries(capacities));
  }

  /** Slots that no handler takes. */
  get freeSlots(): number {
    return this.#slots - this.#usedSlots;
  }

  /** True when a handler of this cost may start now. */
  hasRoom(cost: TaskCost): boolean {
    if (slotsOf(cost) > this.freeSlots) return false;
    return othersOf(cost).every(
      ([name, amount]) => (this.#used.get(name) ?? 0) + amount <= this.#total(name),
    );
  }

  /** True when a handler of this cost may start while no other runs. */
  fits(cost: TaskCost): boolean {
    return (
      slotsOf(cost) <= this.#slots && othersOf(cost).every(([name, amount]) => amount <= this.#total(name))
    );
  }

  /** A handler starts. */
  take(cost: TaskCost): void {
    this.#change(cost, 1);
  }

  /** It has returned. */
  give(cost: TaskCost): void {
    this.#change(cost, -1);
  }

  #change(cost: TaskCost, sign: 1 | -1): void {
    this.#usedSlots += sign * slotsOf(cost);
    for (const [name, amount] of othersOf(cost))
      this.#used.set(name, (this.#used.get(name) ?? 0) + sign * amount);
  }

  #total(name: string): number {
    return this.#totals.get(name) ?? 0;
  }
}

const NO_OTHERS: readonly [string, number][] = [];

function othersOf(cost: TaskCost): readonly [string, number][] {
  return cost === undefined ? NO_OTHERS : Object.entries(cost).filter(([name]) => name !== "slots");
}
