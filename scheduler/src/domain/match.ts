import type { Requirements } from "./task.ts";

/** Tasks that any worker would be matched with alike: one row per distinct queue, type and requirements. */
export interface TaskClass {
  readonly id: number;
  readonly queue: string;
  readonly type: string;
  readonly requirements: Requirements;
}

/** What the matcher looks at in a worker. */
export interface Candidate {
  readonly workerId: string;
  /** Registered, preflight passed, stream live. */
  readonly ready: boolean;
  readonly draining: boolean;
  /** Why it takes no new work, when it does not. */
  readonly pauseReason: string | undefined;
  readonly queues: ReadonlySet<string>;
  readonly types: ReadonlyMap<string, TypeCapacity>;
  readonly labels: Readonly<Record<string, string>>;
  readonly resources: ReadonlySet<string>;
  /** Attempts it may be given now, prefetch included. */
  readonly credit: number;
}

/** A worker's capacity for one task type. */
export interface TypeCapacity {
  /** Most attempts at once; Infinity when only the slots bound it. */
  readonly limit: number;
  active: number;
}

/** The filters in the order in which they are applied; the first that removes a worker is its reason. */
export const FILTERS = [
  "type",
  "queue",
  "labels",
  "resources",
  "starting",
  "draining",
  "paused",
  "slots",
] as const;

/** A filter that can remove a worker. */
export type Filter = (typeof FILTERS)[number];

/**
 * The filter that removes the worker for tasks of this class, or undefined when it may be given one now.
 * What can never change without a new registration is asked first, so that explanations name the
 * lasting cause.
 */
export function removedBy(taskClass: TaskClass, worker: Candidate): Filter | undefined {
  const capacity = worker.types.get(taskClass.type);
  if (!capacity) return "type";
  if (!worker.queues.has(taskClass.queue)) return "queue";
  for (const [name, value] of Object.entries(taskClass.requirements.labels)) {
    if (worker.labels[name] !== value) return "labels";
  }
  for (const resource of taskClass.requirements.resources) {
    if (!worker.resources.has(resource)) return "resources";
  }
  if (!worker.ready) return "starting";
  if (worker.draining) return "draining";
  if (worker.pauseReason !== undefined) return "paused";
  if (worker.credit <= 0 || capacity.active >= capacity.limit) return "slots";
  return undefined;
}

/** How the workers fared with one class, as the matcher saw it. */
export interface MatchRecord {
  readonly lookedAt: number;
  readonly eligible: number;
  /** Workers removed by each filter, with the first such worker as the example. */
  readonly removed: ReadonlyMap<Filter, { readonly count: number; readonly example: string }>;
}

/** Applies the filters to all workers and keeps count. */
export function matchAll<W extends Candidate>(
  taskClass: TaskClass,
  workers: Iterable<W>,
): { readonly fits: W[]; readonly record: MatchRecord } {
  const fits: W[] = [];
  const removed = new Map<Filter, { count: number; example: string }>();
  let lookedAt = 0;
  for (const worker of workers) {
    lookedAt++;
    const filter = removedBy(taskClass, worker);
    if (filter === undefined) {
      fits.push(worker);
      continue;
    }
    const entry = removed.get(filter);
    if (entry) entry.count++;
    else removed.set(filter, { count: 1, example: worker.workerId });
  }
  return { fits, record: { lookedAt, eligible: fits.length, removed } };
}
