/** The filters that decide whether a worker may run a task. */

import { type BuildSides, servesSome } from "../builds/build-rule.ts";
import type { Fairness } from "../tasks/fairness.ts";
import type { CircuitRule } from "../tasks/limits/circuit.ts";
import type { ConcurrencyKey } from "../tasks/limits/concurrency.ts";
import type { RateLimit } from "../tasks/limits/rate-limit.ts";
import type { Requirements } from "../tasks/task.ts";
import type { AdaptiveLimit } from "../workers/adaptive-limit.ts";
import { type CapacityHolder, fits, hasRoom } from "./capacity.ts";
import type { KeptRoom } from "./kept-room.ts";

/**
 * Tasks that any worker would be matched with alike, that wait for the same concurrency keys and rate limits, and share
 * by the same fairness key: one row per distinct queue, type, requirements, keys and limits.
 */
export interface TaskClass {
  readonly id: number;
  readonly queue: string;
  readonly type: string;
  readonly requirements: Requirements;
  /** Its tasks run alone in a process: they took part in deaths of processes whose cause is not known. */
  readonly alone?: boolean;
  /**
   * The concurrency keys of its tasks, that of their circuit among them, in the order of the keys; undefined when they
   * have none.
   */
  readonly concurrency?: readonly ConcurrencyKey[] | undefined;
  /** The rate limits of its tasks, in the order of the keys; undefined when they have none. */
  readonly rateLimits?: readonly RateLimit[] | undefined;
  /** The circuit breaker of its tasks; undefined when they have none. */
  readonly circuit?: CircuitRule | undefined;
  /** The fairness key of its tasks; undefined when they have none. */
  readonly fairness?: Fairness | undefined;
  /** What the rule of its queue asks of the build of a worker now; undefined when it has none. Not a part of the class. */
  readonly builds?: BuildSides | undefined;
}

/** True when there may be as many such classes as keys: they are kept only while they are used. */
export function isPerKey({
  concurrency,
  rateLimits,
  fairness,
}: Pick<TaskClass, "concurrency" | "rateLimits" | "fairness">): boolean {
  return concurrency !== undefined || rateLimits !== undefined || fairness !== undefined;
}

/** What the matcher looks at in a worker. */
export interface Candidate extends CapacityHolder {
  readonly workerId: string;
  /** Registered, preflight passed, stream live. */
  readonly ready: boolean;
  readonly draining: boolean;
  /** It drains, or was asked to and has not answered yet; absent where that is not known. */
  readonly closing?: boolean;
  /** Why it takes no new work, when it does not. */
  readonly pauseReason: string | undefined;
  readonly queues: ReadonlySet<string>;
  readonly types: ReadonlyMap<string, TypeCapacity>;
  readonly labels: Readonly<Record<string, string>>;
  /** The build that it said; absent or empty for none. */
  readonly build?: string;
  readonly resources: ReadonlySet<string>;
  /** The payload that it has ahead, when only that keeps it from being assigned more; else absent. */
  readonly fullOfBytes?: PayloadShortage | undefined;
  /** It holds something, or is about to. */
  readonly occupied?: boolean;
  /** What it runs must have the process for itself. */
  readonly runsAlone?: boolean;
  /** So many of its attempts wait without their slots that it is assigned no more tasks of their types. */
  readonly fullOfReleased?: boolean;
  /** Until then (monotonic) it is kept free for a task that must run alone; 0 or absent when it is not. */
  readonly keptFreeUntil?: number;
  /** Room that it keeps for a task that costs more than it has free; see `isKeptFrom`. */
  readonly keptRoom?: KeptRoom | undefined;
  /** Until then (monotonic) nothing is assigned to it, because it did not accept an assignment; else 0 or absent. */
  readonly acceptStalledUntil?: number;
  /** Why, as a verb phrase with the worker as its subject; empty when it did not. */
  readonly stallReason?: string;
  /** For how long in all, milliseconds. */
  readonly stallMs?: number;
  /**
   * While it is quarantined: until then (monotonic) it is assigned nothing, afterwards one attempt at a time. Infinity: for
   * as long as the scheduler that holds its stream keeps it. Else 0 or absent.
   */
  readonly quarantinedUntil?: number;
}

/** Payload of attempts whose handlers a worker has not called, which leaves no room for more. */
export interface PayloadShortage {
  readonly bytes: number;
  /** What is being claimed for it, and the next task: each as large as the largest of the last payloads. */
  readonly nextBytes: number;
  /** Most bytes that it takes ahead. */
  readonly maxBytes: number;
}

/** A worker's capacity for one task type. */
export interface TypeCapacity {
  /** Most attempts at once; Infinity when only the slots bound it. */
  readonly limit: number;
  readonly active: number;
  /** Set when its worker adapts the limit. */
  readonly adaptive?: AdaptiveLimit | undefined;
  /** Attempts whose handlers wait without their slots; absent where that is not known. */
  readonly released?: number;
}

/** The filters in the order in which they are applied; the first that removes a worker is its reason. */
export const FILTERS = [
  "type",
  "queue",
  "build",
  "labels",
  "capacity",
  "resources",
  "starting",
  "draining",
  "paused",
  "quarantined",
  "slots",
  "alone",
  "unanswered",
] as const;

/** A filter that can remove a worker. */
export type Filter = (typeof FILTERS)[number];

/**
 * The filter that removes the worker for tasks of this class, or undefined when it may be given one now.
 * What can never change without a new registration is asked first, so that explanations name the
 * lasting cause.
 *
 * @param now Monotonic milliseconds of the candidate's scheduler; without it no worker counts as stalled.
 */
export function removedBy(
  taskClass: TaskClass,
  worker: Candidate,
  now = Number.POSITIVE_INFINITY,
): Filter | undefined {
  const capacity = worker.types.get(taskClass.type);
  if (!capacity) return "type";
  if (!worker.queues.has(taskClass.queue)) return "queue";
  if (taskClass.builds !== undefined && !servesSome(taskClass.builds, worker.build ?? "")) return "build";
  for (const [name, value] of Object.entries(taskClass.requirements.labels)) {
    if (worker.labels[name] !== value) return "labels";
  }
  const { cost } = taskClass.requirements;
  if (cost !== undefined && !fits(cost, worker)) return "capacity";
  for (const resource of taskClass.requirements.resources) {
    if (!worker.resources.has(resource)) return "resources";
  }
  const closed = closedBy(worker, now);
  if (taskClass.alone) {
    const open = closed === undefined || closed === "slots" || closed === "alone";
    return open && worker.occupied ? "alone" : closed;
  }
  const passing = closed === undefined || closed === "alone" || closed === "unanswered";
  if (passing && (capacity.active >= capacity.limit || isFullOfReleased(worker, capacity))) return "slots";
  if (passing && cost !== undefined && !hasRoom(cost, worker)) return "slots";
  if (passing && (worker.keptFreeUntil ?? 0) > now) return "alone";
  return closed;
}

/** True when tasks of the type are not assigned, because too many attempts of the worker wait without their slots. */
export function isFullOfReleased(
  { fullOfReleased = false }: Candidate,
  { released = 0 }: TypeCapacity,
): boolean {
  return fullOfReleased && released > 0;
}

/** What `removedBy` looks at in a class, as text: it answers alike for classes of one shape. */
export function shapeOf({ queue, type, requirements, alone = false }: TaskClass): string {
  const { labels, resources, cost } = requirements;
  const required = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
  if (required.length === 0 && resources.length === 0 && cost === undefined && !alone)
    return `${queue}\n${type}`;
  return JSON.stringify([queue, type, required, [...resources].sort(), cost ?? [], alone]);
}

/** The filter that removes the worker whatever the task; undefined when it is open. @param now As above. */
export function closedBy(worker: Candidate, now: number): Filter | undefined {
  if (!worker.ready) return "starting";
  if (worker.draining || worker.closing) return "draining";
  if (worker.pauseReason !== undefined) return "paused";
  if (isQuarantined(worker, now)) return "quarantined";
  if (worker.credit <= 0) return "slots";
  if (worker.runsAlone) return "alone";
  if ((worker.acceptStalledUntil ?? 0) > now) return "unanswered";
  return undefined;
}

/** True unless it is not quarantined, or its next probe is due and it holds nothing. */
function isQuarantined({ quarantinedUntil = 0, occupied }: Candidate, now: number): boolean {
  if (quarantinedUntil === 0) return false;
  return occupied === true || quarantinedUntil > now || quarantinedUntil === Number.POSITIVE_INFINITY;
}

/** Filters that ask for what changes only with a registration or a loaded resource. */
export const LASTING_FILTERS: ReadonlySet<Filter> = new Set([
  "type",
  "queue",
  "build",
  "labels",
  "capacity",
  "resources",
]);

/** The filters from the one that is nearest to being lifted: what it removed got furthest. */
export const NEAREST_FIRST: readonly Filter[] = [
  "slots",
  "alone",
  "unanswered",
  "quarantined",
  "paused",
  "draining",
  "starting",
  "resources",
  "capacity",
  "labels",
  "build",
  "queue",
  "type",
];
