/** The ticks of a schedule: its timing between its start and its end, and the jitter of each tick. */
import { createHash } from "node:crypto";
import { CronTimes } from "./cron.ts";
import type { Schedule, ScheduleSettings, Timing } from "./schedule.ts";

/** Finds the first tick after a moment, milliseconds since the epoch; undefined when there is none any more. */
export type NextTick = (afterMs: number) => number | undefined;

/** @throws Error for a cron expression or a time zone that is not valid. */
export function nextTickOf({
  timing,
  startMs,
  endMs,
}: Pick<ScheduleSettings, "timing" | "startMs" | "endMs">): NextTick {
  const next = unboundedTicks(timing, startMs ?? 0);
  return (afterMs) => {
    const tick = next(startMs === undefined ? afterMs : Math.max(afterMs, startMs - 1));
    return tick === undefined || tick > (endMs ?? Number.POSITIVE_INFINITY) ? undefined : tick;
  };
}

function unboundedTicks(timing: Timing, anchorMs: number): NextTick {
  if (timing.kind === "cron") {
    const times = new CronTimes(timing.expression, timing.timezone);
    return (afterMs) => times.nextAfter(afterMs);
  }
  const { everyMs } = timing;
  return (afterMs) => anchorMs + (Math.floor((afterMs - anchorMs) / everyMs) + 1) * everyMs;
}

/** The first ticks after a moment, at most `count`. */
export function firstTicks(next: NextTick, afterMs: number, count: number): number[] {
  const ticks: number[] = [];
  for (let tick = next(afterMs); tick !== undefined && ticks.length < count; tick = next(tick))
    ticks.push(tick);
  return ticks;
}

/** How much later than its tick a task is submitted: the same at every scheduler, and spread evenly over the names. */
export function jitterOf({ name, jitterMs }: Pick<Schedule, "name" | "jitterMs">, tickMs: number): number {
  if (jitterMs === 0) return 0;
  const share = createHash("sha256").update(`${name}\n${tickMs}`).digest().readUIntBE(0, 6) / 2 ** 48;
  return Math.floor(share * jitterMs);
}

/** When a tick is due. */
export function dueTime(schedule: Pick<Schedule, "name" | "jitterMs">, tickMs: number): number {
  return tickMs + jitterOf(schedule, tickMs);
}

/** The next ticks that are not decided, at most `count`; of a paused schedule those after now. */
export function upcomingTicks(schedule: Schedule, nowMs: number, count: number): number[] {
  if (schedule.nextMs === undefined) return [];
  const after = schedule.pause ? Math.max(schedule.positionMs, nowMs) : schedule.positionMs;
  return firstTicks(nextTickOf(schedule), after, count);
}
