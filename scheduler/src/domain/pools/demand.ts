/** Which pool's workers the waiting tasks of a class count for. */
import { removedBy, type TaskClass } from "../matching/match.ts";
import type { PoolOffer, PoolSpec } from "./pool.ts";

/** Tasks of a class that could start now. */
export interface WaitingClassCount {
  readonly taskClass: TaskClass;
  readonly waiting: number;
  /** Since the first of them could start, milliseconds. */
  readonly ageMs: number;
}

/** What a pool can take. */
export interface PoolRoom {
  readonly spec: PoolSpec;
  /** The build of the workers that it launches now; empty for none. */
  readonly build: string;
  /** Attempts that its workers hold. */
  readonly held: number;
  /** It gets no launches: paused, or being deleted. */
  readonly closed: boolean;
}

/**
 * How many waiting tasks count for each pool. A class that several pools could serve counts for the first by name as far as
 * its maximum reaches, then for the next: two pools never launch for one task. What no pool has room for counts for the
 * first, which is then at its maximum.
 */
export function demandByPool(
  pools: readonly PoolRoom[],
  classes: readonly WaitingClassCount[],
): ReadonlyMap<string, number> {
  const demand = new Map<string, number>();
  const sorted = pools
    .filter(({ closed }) => !closed)
    .toSorted((a, b) => (a.spec.name < b.spec.name ? -1 : 1));
  const add = (name: string, count: number) => demand.set(name, (demand.get(name) ?? 0) + count);
  for (const { taskClass, waiting, ageMs } of classes) {
    const able = sorted.filter(
      ({ spec, build }) => ageMs >= spec.scale.minTaskAgeMs && offers(spec.offer, build, taskClass),
    );
    let left = waiting;
    for (const { spec, held } of able) {
      const room = spec.maxWorkers * spec.offer.slots - held - (demand.get(spec.name) ?? 0);
      const taken = Math.min(left, Math.max(0, room));
      add(spec.name, taken);
      left -= taken;
    }
    const [first] = able;
    if (first && left > 0) add(first.spec.name, left);
  }
  return demand;
}

/** True when a worker that holds nothing, offers this and has this build could run the tasks of the class. */
export function offers(offer: PoolOffer, build: string, taskClass: TaskClass): boolean {
  return (
    removedBy(taskClass, {
      workerId: "",
      ready: true,
      draining: false,
      pauseReason: undefined,
      queues: new Set(offer.queues),
      types: new Map(offer.types.map((type) => [type, { limit: offer.slots, active: 0 }])),
      labels: offer.labels,
      build,
      resources: new Set(offer.resources),
      slots: offer.slots,
      credit: offer.slots,
      ...capacityOf(offer),
    }) === undefined
  );
}

function capacityOf({ capacities }: PoolOffer) {
  return {
    capacities: new Map(Object.entries(capacities).map(([name, total]) => [name, { total, used: 0 }])),
  };
}
