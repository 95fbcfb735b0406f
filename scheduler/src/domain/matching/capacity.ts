/** Costs of tasks and capacities of workers, and whether they fit. */

/** The capacity that every worker has and every task takes. */
export const SLOTS = "slots";

/** Largest amount: sums of thousands of them are exact. */
export const MAX_AMOUNT = 1_000_000_000_000;

/** Slots of a cost: as many as a worker may have. */
export const MAX_SLOTS = 10_000;

/** So much of one capacity. */
export interface Amount {
  readonly name: string;
  readonly amount: number;
}

/** In the order of the names, each amount above 0; `slots` only when it is more than one. */
export type Cost = readonly Amount[];

/** A capacity of a worker and what its attempts take. */
export interface Capacity {
  readonly total: number;
  readonly used: number;
}

/** The capacities of a worker, as far as costs are compared with them. */
export interface CapacityHolder {
  /** Attempts of one slot that it runs at once. */
  readonly slots: number;
  /** Slots that it may be given now, prefetch included. */
  readonly credit: number;
  /** The others, by name. */
  readonly capacities: ReadonlyMap<string, Capacity>;
}

/** A capacity of which a worker has less than a task costs. */
export interface Shortage {
  readonly name: string;
  readonly needed: number;
  /** What is left; of `slots` without those that are taken ahead. */
  readonly free: number;
  readonly total: number;
}

/** Slots of a task. */
export function slotsOf(cost: Cost | undefined): number {
  return cost === undefined ? 1 : (cost.find(({ name }) => name === SLOTS)?.amount ?? 1);
}

/** True when the worker could run the task if it ran nothing else. */
export function fits(cost: Cost, worker: Pick<CapacityHolder, "slots" | "capacities">): boolean {
  return cost.every(({ name, amount }) => amount <= totalOf(name, worker));
}

/** True when the worker can be given the task now: its slots within the prefetch, its other amounts at once. */
export function hasRoom(cost: Cost, worker: CapacityHolder): boolean {
  return cost.every(({ name, amount }) =>
    name === SLOTS ? amount <= worker.credit : amount <= freeOf(worker.capacities.get(name)),
  );
}

/** The capacities that keep the task away for now; none when it has room. */
export function shortages(cost: Cost | undefined, worker: CapacityHolder): Shortage[] {
  const { slots, credit } = worker;
  const short: Shortage[] = [];
  const wanted = slotsOf(cost);
  if (wanted > credit)
    short.push({
      name: SLOTS,
      needed: wanted,
      free: Math.min(slots, Math.max(0, credit)),
      total: slots,
    });
  for (const { name, amount } of cost ?? []) {
    if (name === SLOTS) continue;
    const capacity = worker.capacities.get(name);
    const free = freeOf(capacity);
    if (amount > free) short.push({ name, needed: amount, free, total: capacity?.total ?? 0 });
  }
  return short;
}

/** What the worker has of a capacity; 0 of one that it does not name. */
export function totalOf(
  name: string,
  { slots, capacities }: Pick<CapacityHolder, "slots" | "capacities">,
): number {
  return name === SLOTS ? slots : (capacities.get(name)?.total ?? 0);
}

/** The cost in one order: tasks that cost the same share a class. Undefined for one slot and nothing else. */
export function toCost(amounts: readonly Amount[]): Cost | undefined {
  const cost = amounts
    .filter(({ name, amount }) => amount > (name === SLOTS ? 1 : 0))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  return cost.length > 0 ? cost : undefined;
}

/** `2 slots and 8000 gpu_memory_mb`. */
export function costInWords(cost: Cost | undefined): string {
  const slots = slotsOf(cost);
  const others = (cost ?? []).filter(({ name }) => name !== SLOTS);
  const words = [
    ...(slots > 1 || others.length === 0 ? [`${slots} ${slots === 1 ? "slot" : "slots"}`] : []),
    ...others.map(({ name, amount }) => `${amount} ${name}`),
  ];
  return words.length > 1 ? `${words.slice(0, -1).join(", ")} and ${words.at(-1)}` : (words[0] ?? "");
}

/** The capacities of a worker that runs nothing. */
export function unused(totals: Readonly<Record<string, number>> = {}): Map<string, Capacity> {
  return new Map(Object.entries(totals).map(([name, total]) => [name, { total, used: 0 }]));
}

function freeOf(capacity: Capacity | undefined): number {
  return capacity === undefined ? 0 : Math.max(0, capacity.total - capacity.used);
}
