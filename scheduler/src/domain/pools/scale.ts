/** How many workers a pool is to have. */
import type { PoolSpec, ScheduledMinimum, Wanted } from "./pool.ts";

/** What a pool's workers have to do. */
export interface Demand {
  /** Tasks that could start now and that a worker of the pool could run. */
  readonly waiting: number;
  /** Attempts that its workers hold. */
  readonly held: number;
  /** Ready workers, and the successes of all of them in a second. */
  readonly ready: number;
  readonly completionsPerSecond: number;
  /** What a launch usually takes to become ready; undefined while not measured. */
  readonly usualStartMs: number | undefined;
}

/** How many workers are wanted, and what decided. */
export interface Desired {
  readonly count: number;
  /** What the work alone would want, without the bounds. */
  readonly forWork: number;
  /** Waiting tasks that count: the ready workers begin the others before a new worker could. */
  readonly counted: number;
  /** The minimum at this time. */
  readonly minimum: number;
  /** `work`, `minimum` or `maximum`. */
  readonly bound: "work" | "minimum" | "maximum";
}

/**
 * The number of workers that would run everything that waits and is held at once, within the bounds of the pool.
 *
 * @param nextTime The next time of a cron expression in a time zone after a moment; undefined for none.
 */
export function desired(
  spec: Pick<PoolSpec, "minWorkers" | "maxWorkers" | "offer" | "scheduledMinimums">,
  demand: Demand,
  nowMs: number,
  nextTime: NextTime,
): Desired {
  const { waiting, held, ready, completionsPerSecond, usualStartMs = 0 } = demand;
  const doneBefore = ready > 0 ? Math.floor((completionsPerSecond * usualStartMs) / 1_000) : 0;
  const counted = Math.max(0, waiting - doneBefore);
  const forWork = Math.ceil((held + counted) / spec.offer.slots);
  const minimum = Math.min(spec.maxWorkers, minimumAt(spec, nowMs, nextTime));
  const wanted = Math.max(forWork, minimum);
  const count = Math.min(spec.maxWorkers, wanted);
  const bound = wanted > spec.maxWorkers ? "maximum" : forWork >= minimum ? "work" : "minimum";
  return { count, forWork, counted, minimum, bound };
}

/** As above. */
export type NextTime = (cron: string, timezone: string, afterMs: number) => number | undefined;

/** The highest minimum that applies. */
export function minimumAt(
  { minWorkers, scheduledMinimums }: Pick<PoolSpec, "minWorkers" | "scheduledMinimums">,
  nowMs: number,
  nextTime: NextTime,
): number {
  return scheduledMinimums.reduce(
    (most, scheduled) => (applies(scheduled, nowMs, nextTime) ? Math.max(most, scheduled.minWorkers) : most),
    minWorkers,
  );
}

/** True when one of its times was no longer ago than its duration. */
function applies(
  { cron, timezone, durationMs }: ScheduledMinimum,
  nowMs: number,
  nextTime: NextTime,
): boolean {
  const next = nextTime(cron, timezone, nowMs - durationMs);
  return next !== undefined && next <= nowMs;
}

/**
 * The record of what was wanted, with the present count: only counts that are higher than all later ones matter. Its last
 * entry is the present count.
 */
export function withWanted(
  wanted: readonly Wanted[],
  count: number,
  nowMs: number,
  windowMs: number,
): readonly Wanted[] {
  const last = wanted.at(-1);
  const recent = wanted.filter((each) => each === last || each.untilMs > nowMs - windowMs);
  if (last?.count === count) return recent.length === wanted.length ? wanted : recent;
  const higher = recent
    .map((each) => (each === last ? { ...each, untilMs: nowMs } : each))
    .filter((each) => each.count > count);
  return [...higher, { count, untilMs: nowMs }];
}

/** The highest count that was wanted within the window. */
export function highestWanted(wanted: readonly Wanted[]): number {
  return wanted.reduce((most, { count }) => Math.max(most, count), 0);
}

/** The middle one of the times that launches took to become ready; undefined of none. */
export function usualStart(startsMs: readonly number[]): number | undefined {
  const sorted = startsMs.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}
