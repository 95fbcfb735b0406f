import { type Candidate, removedBy, type TaskClass } from "./match.ts";
import type { WorkerGroup } from "./reports.ts";

/** A class of tasks with what waits in it and who could take it. */
export interface Coverage {
  readonly taskClass: TaskClass;
  readonly ready: number;
  readonly active: number;
  readonly scheduled: number;
  /** How long the oldest ready task has waited; undefined when none is ready. */
  readonly oldestReadyAgeMs: number | undefined;
  /** Living workers that suit, whatever they do at the moment. */
  readonly suited: number;
  /** Free slots of those that take work now. */
  readonly freeSlots: number;
}

/** Filters that only another worker, or another task, can lift. */
const LASTING: ReadonlySet<string | undefined> = new Set(["type", "queue", "labels", "resources"]);

/** Who could take what waits, by the filters that assign work. */
export function coverage(
  classes: readonly Omit<Coverage, "suited" | "freeSlots">[],
  groups: readonly WorkerGroup[],
): Coverage[] {
  const candidates = groups.map((group) => ({ group, candidate: toCandidate(group) }));
  return classes.map((entry) => {
    const suited = candidates.filter(({ candidate }) => !LASTING.has(removedBy(entry.taskClass, candidate)));
    const taking = suited.filter(({ group }) => group.state === "ready" && !group.paused);
    return {
      ...entry,
      suited: suited.reduce((sum, { group }) => sum + group.workers, 0),
      freeSlots: taking.reduce((sum, { group }) => sum + Math.max(0, group.slots - group.active), 0),
    };
  });
}

function toCandidate({ types, queues, labels, resources }: WorkerGroup): Candidate {
  return {
    workerId: "",
    ready: true,
    draining: false,
    pauseReason: undefined,
    queues: new Set(queues),
    types: new Map(types.map((type) => [type, { limit: Number.POSITIVE_INFINITY, active: 0 }])),
    labels,
    resources: new Set(resources),
    credit: 1,
  };
}
