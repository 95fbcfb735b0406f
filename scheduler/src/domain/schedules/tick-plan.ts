/** Decides which of the due ticks of a schedule are submitted, and which were missed. */
import { ON_TIME_MS, type Schedule } from "./schedule.ts";
import { dueTime, type NextTick } from "./tick-times.ts";

/** Ticks that are walked through at once: a cron expression takes about 10 µs for each. */
const MAX_WALK = 5_000;

/** Missed ticks, the first and the last of them. */
export interface MissedTicks {
  readonly count: number;
  readonly firstMs: number;
  readonly lastMs: number;
}

/** What is to be done about the due ticks of a schedule. */
export interface TickPlan {
  /** Ticks to submit, oldest first. */
  readonly submit: readonly number[];
  /** All of them are before those to submit. */
  readonly missed: MissedTicks | undefined;
  /** All ticks up to here are decided by the plan. */
  readonly positionMs: number;
  readonly nextMs: number | undefined;
  /** When the next tick is due; in the past when more of them are due. */
  readonly dueMs: number | undefined;
}

/**
 * Plans the ticks that are due at `nowMs`. Of many due ticks the plan decides the oldest ones, and the next plan the rest.
 *
 * @param most Ticks that are submitted at once.
 */
export function planTicks(schedule: Schedule, next: NextTick, nowMs: number, most: number): TickPlan {
  const due: number[] = [];
  let upcoming = next(schedule.positionMs);
  while (upcoming !== undefined && due.length < MAX_WALK && dueTime(schedule, upcoming) <= nowMs) {
    due.push(upcoming);
    upcoming = next(upcoming);
  }
  const isAll = upcoming === undefined || dueTime(schedule, upcoming) > nowMs;
  const wanted = caughtUp(schedule, due, isAll ? nowMs : undefined);
  const submit = wanted.slice(0, isAll ? most : 0);
  const missedCount = due.length - wanted.length;
  // The rest of the wanted ones is planned again after those to submit.
  const position = submit.at(-1) ?? (isAll ? due.at(-1) : due[missedCount - 1]) ?? schedule.positionMs;
  const nextMs = next(position);
  const [firstMs, lastMs] = [due[0], due[missedCount - 1]];
  return {
    submit,
    missed:
      firstMs === undefined || lastMs === undefined ? undefined : { count: missedCount, firstMs, lastMs },
    positionMs: position,
    nextMs,
    dueMs: nextMs === undefined ? undefined : dueTime(schedule, nextMs),
  };
}

/**
 * The newest of the due ticks, as many as the catch-up policy allows.
 *
 * @param nowMs Undefined when later ones are due, too.
 */
function caughtUp(schedule: Schedule, due: readonly number[], nowMs: number | undefined): readonly number[] {
  const latest = due.at(-1);
  if (latest === undefined) return due;
  switch (schedule.catchUp) {
    case "all":
      return due.slice(-schedule.catchUpLimit);
    case "last":
      return [latest];
    case "none":
      return nowMs === undefined || nowMs - dueTime(schedule, latest) <= ON_TIME_MS ? [latest] : [];
    default: {
      const unknown: never = schedule.catchUp;
      throw new TypeError(`unknown catch-up policy ${String(unknown)}`);
    }
  }
}
