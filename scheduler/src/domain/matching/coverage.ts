/** Counts the workers that could run the waiting tasks. */
import type { WorkerGroup } from "../reports.ts";
import { unused } from "./capacity.ts";
import { type Candidate, LASTING_FILTERS, removedBy, type TaskClass } from "./match.ts";

/** A class with the number of its tasks and of the workers that could run them. */
export interface Coverage {
  readonly taskClass: TaskClass;
  readonly ready: number;
  readonly active: number;
  readonly scheduled: number;
  /** How long the oldest ready task has waited; undefined when none is ready. */
  readonly oldestReadyAgeMs: number | undefined;
  /** The same of tasks without an attempt that counts. */
  readonly oldestFirstAgeMs?: number | undefined;
  /** Living workers that could run its tasks, busy or not. */
  readonly eligible: number;
  /** Free slots of those that take work now; 0 for tasks that cost more than one slot. */
  readonly freeSlots: number;
}

/** The workers that could run the waiting tasks, by the filters of the assignment. */
export function coverage(
  classes: readonly Omit<Coverage, "eligible" | "freeSlots">[],
  groups: readonly WorkerGroup[],
): Coverage[] {
  const index = new CoverageIndex(groups);
  return classes.map((entry) => index.of(entry));
}

/** The same class by class. */
export class CoverageIndex {
  /** By each type that they serve: most groups serve few of the types that there are. */
  readonly #byType = new Map<string, { readonly group: WorkerGroup; readonly candidate: Candidate }[]>();

  constructor(groups: readonly WorkerGroup[]) {
    for (const group of groups) {
      const entry = { group, candidate: toCandidate(group) };
      for (const type of new Set(group.types)) {
        const others = this.#byType.get(type);
        if (others) others.push(entry);
        else this.#byType.set(type, [entry]);
      }
    }
  }

  /** The class with its eligible workers. */
  of(entry: Omit<Coverage, "eligible" | "freeSlots">): Coverage {
    let eligible = 0;
    let freeSlots = 0;
    for (const { group, candidate } of this.#byType.get(entry.taskClass.type) ?? []) {
      const filter = removedBy(entry.taskClass, candidate);
      if (filter !== undefined && LASTING_FILTERS.has(filter)) continue;
      eligible += group.workers;
      // Free slots are no sign of room for a task that costs more than one.
      if (entry.taskClass.requirements.cost !== undefined) continue;
      if (group.state === "ready" && !group.paused) freeSlots += Math.max(0, group.slots - group.active);
    }
    return { ...entry, eligible, freeSlots };
  }
}

/** As free as can be. */
function toCandidate({ types, queues, labels, resources, slotsEach, capacities }: WorkerGroup): Candidate {
  return {
    workerId: "",
    ready: true,
    draining: false,
    pauseReason: undefined,
    queues: new Set(queues),
    types: new Map(types.map((type) => [type, { limit: Number.POSITIVE_INFINITY, active: 0 }])),
    labels,
    resources: new Set(resources),
    slots: slotsEach,
    credit: slotsEach,
    capacities: unused(capacities),
  };
}
