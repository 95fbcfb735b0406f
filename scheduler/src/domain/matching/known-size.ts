/** Whether any worker that is known could ever run a task. */
import { type Cost, fits, totalOf, unused } from "./capacity.ts";

/** A worker with the type, the queue and the labels of a task: connected, or gone and still recorded. */
export interface KnownSize {
  readonly workerId: string;
  readonly slots: number;
  readonly capacities: Readonly<Record<string, number>>;
  /** Since it ended, milliseconds; undefined while it lives. */
  readonly goneMs: number | undefined;
}

/** What a task costs of one capacity, and the worker that has the most of it. */
export interface AskedCapacity {
  readonly name: string;
  readonly asked: number;
  readonly most: number;
  readonly largest: KnownSize;
}

/** The first of these workers that could run the task if it ran nothing else; living ones first. */
export function findFitting(cost: Cost, sizes: readonly KnownSize[]): KnownSize | undefined {
  const fitting = sizes.filter((size) => fits(cost, sized(size)));
  return fitting.find(({ goneMs }) => goneMs === undefined) ?? fitting[0];
}

/**
 * Each capacity that the task costs, when none of the workers has all of them; undefined when one does, and when no worker
 * is known.
 */
export function neverFits(
  cost: Cost | undefined,
  sizes: readonly KnownSize[],
): readonly AskedCapacity[] | undefined {
  if (cost === undefined || sizes.length === 0 || findFitting(cost, sizes)) return undefined;
  return cost.map(({ name, amount }) => {
    const ranked = sizes.map((size) => ({ size, total: totalOf(name, sized(size)) }));
    const largest = ranked.reduce((best, each) =>
      each.total > best.total || (each.total === best.total && isNewer(each.size, best.size)) ? each : best,
    );
    return { name, asked: amount, most: largest.total, largest: largest.size };
  });
}

function isNewer(a: KnownSize, b: KnownSize): boolean {
  return (a.goneMs ?? -1) < (b.goneMs ?? -1);
}

function sized({ slots, capacities }: KnownSize) {
  return { slots, capacities: unused(capacities) };
}
