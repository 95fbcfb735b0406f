/** The changes of a schedule: each returns it with a new version. */
import {
  KEPT_TASKS,
  KEPT_TICKS,
  type Schedule,
  type ScheduleSettings,
  type TickFailure,
  type TickRecord,
} from "./schedule.ts";
import type { TickPlan } from "./tick-plan.ts";
import { dueTime, nextTickOf } from "./tick-times.ts";

/** What a caller sets, beside the task to submit. */
export interface WantedSchedule extends ScheduleSettings {
  readonly name: string;
  readonly queue: string;
  readonly type: string;
}

/** First wait after a failed try, milliseconds; doubled with each further one. */
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 60_000;

/**
 * Sets a schedule. One with the same timing keeps its place: ticks that are due are not lost. With another timing, or a
 * new name, the first tick is after now. A pause goes on; a failure is forgotten.
 */
export function setSchedule(before: Schedule | undefined, wanted: WantedSchedule, nowMs: number): Schedule {
  const keepsPlace = before !== undefined && timingOf(before) === timingOf(wanted);
  return placed({
    ...wanted,
    version: (before?.version ?? 0) + 1,
    createdMs: before?.createdMs ?? nowMs,
    setMs: nowMs,
    positionMs: keepsPlace ? before.positionMs : nowMs,
    ticks: before?.ticks ?? [],
    taskIds: before?.taskIds ?? [],
    ...(before?.pause ? { pause: before.pause } : {}),
  });
}

/** Submits nothing until it is resumed. One that is paused gets the new reason. */
export function pauseSchedule(schedule: Schedule, reason: string, nowMs: number): Schedule {
  const { dueMs: _due, ...rest } = schedule;
  const sinceMs = schedule.pause?.sinceMs ?? nowMs;
  return { ...rest, version: schedule.version + 1, pause: { reason, sinceMs } };
}

/** Goes on with the first tick after now: those of the pause are not made up for. One that is not paused stays as it is. */
export function resumeSchedule(schedule: Schedule, nowMs: number): Schedule {
  if (!schedule.pause) return schedule;
  const { pause: _pause, failure: _failure, ...rest } = schedule;
  return placed({
    ...rest,
    version: schedule.version + 1,
    positionMs: Math.max(schedule.positionMs, nowMs),
  });
}

/**
 * Records decided ticks.
 *
 * @param decided In the order of their ticks; what was missed comes from the plan.
 * @param taskIds Those of its tasks that are open.
 */
export function advanceSchedule(
  schedule: Schedule,
  plan: TickPlan,
  decided: readonly TickRecord[],
  taskIds: readonly number[],
  nowMs: number,
): Schedule {
  const { nextMs: _next, dueMs: _due, failure, ...rest } = schedule;
  const { nextMs, dueMs, missed } = plan;
  const records: TickRecord[] = missed ? [missedRecord(missed, nowMs), ...decided] : [...decided];
  return {
    ...rest,
    version: schedule.version + 1,
    positionMs: plan.positionMs,
    ticks: withTicks(schedule.ticks, records),
    taskIds: taskIds.slice(-KEPT_TASKS),
    ...(nextMs === undefined ? {} : { nextMs }),
    ...(dueMs === undefined ? {} : { dueMs }),
    // What was given up as missed does not end the cause.
    ...(failure && decided.length === 0 ? { failure } : {}),
  };
}

/** Records a task that was submitted on request, beside the ticks. */
export function recordRun(schedule: Schedule, run: TickRecord, taskIds: readonly number[]): Schedule {
  return {
    ...schedule,
    version: schedule.version + 1,
    ticks: withTicks(schedule.ticks, [run]),
    taskIds: taskIds.slice(-KEPT_TASKS),
  };
}

/** The due ticks could not be submitted: they stay due, and are tried again after a growing wait. */
export function failSchedule(
  schedule: Schedule,
  failure: Pick<TickFailure, "code" | "message">,
  nowMs: number,
): Schedule {
  const count = (schedule.failure?.count ?? 0) + 1;
  const waitMs = Math.min(FIRST_RETRY_MS * 2 ** (count - 1), LAST_RETRY_MS);
  return {
    ...schedule,
    version: schedule.version + 1,
    dueMs: nowMs + waitMs,
    failure: { ...failure, count, sinceMs: schedule.failure?.sinceMs ?? nowMs },
  };
}

/** The schedule with its next tick. */
function placed({ nextMs: _next, dueMs: _due, ...schedule }: Schedule): Schedule {
  const nextMs = nextTickOf(schedule)(schedule.positionMs);
  if (nextMs === undefined) return schedule;
  return { ...schedule, nextMs, ...(schedule.pause ? {} : { dueMs: dueTime(schedule, nextMs) }) };
}

function timingOf({ timing, startMs, endMs }: ScheduleSettings): string {
  const parts = timing.kind === "cron" ? [timing.expression, timing.timezone] : [timing.everyMs];
  return JSON.stringify([timing.kind, ...parts, startMs ?? null, endMs ?? null]);
}

function missedRecord(
  { count, firstMs, lastMs }: NonNullable<TickPlan["missed"]>,
  nowMs: number,
): TickRecord {
  return {
    tickMs: firstMs,
    outcome: "missed",
    decidedMs: nowMs,
    ...(count > 1 ? { count, lastMs } : {}),
  };
}

/** The newest first. Ticks that were missed one after the other are one record. */
function withTicks(kept: readonly TickRecord[], added: readonly TickRecord[]): TickRecord[] {
  const ticks = [...kept];
  for (const record of added) {
    const [last] = ticks;
    if (record.outcome !== "missed" || last?.outcome !== "missed") ticks.unshift(record);
    else
      ticks[0] = {
        ...last,
        decidedMs: record.decidedMs,
        count: (last.count ?? 1) + (record.count ?? 1),
        lastMs: record.lastMs ?? record.tickMs,
      };
  }
  return ticks.slice(0, KEPT_TICKS);
}
