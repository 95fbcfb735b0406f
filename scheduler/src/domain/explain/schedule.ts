/** Explains why a schedule is in its state. */
import { formatTaskId } from "../ids.ts";
import {
  ON_TIME_MS,
  type Schedule,
  type ScheduleTick,
  scheduleState,
  type TickRecord,
} from "../schedules/schedule.ts";
import { upcomingTicks } from "../schedules/tick-times.ts";
import { type Evidence, type Explanation, plural, type Reason, span } from "./reason.ts";

/** The facts of an explanation. */
export interface ScheduleFacts {
  readonly schedule: Schedule;
  /** Its tasks that are open, ascending. */
  readonly openTaskIds: readonly number[];
  readonly now: Date;
}

/** Next ticks that are shown. */
const NEXT_TICKS = 5;

/** The reasons, the most important first. */
export function explainSchedule(facts: ScheduleFacts): Explanation {
  const { schedule } = facts;
  const reasons = [paused(facts), ended(facts), failing(facts), late(facts), overlapping(facts)].filter(
    (reason) => reason !== undefined,
  );
  return {
    subject: `schedule:${schedule.name}`,
    state: scheduleState(schedule),
    reasons: reasons.length > 0 ? reasons : [waiting(facts)],
  };
}

/** The reasons of a task that a schedule submitted: the first one has the tick in its evidence. */
export function withTick(reasons: readonly Reason[], tick: ScheduleTick | undefined): readonly Reason[] {
  const [first, ...others] = reasons;
  if (!tick || !first) return reasons;
  const what = tick.manual ? "run on request at" : "tick of";
  const value = `${tick.schedule}, ${what} ${new Date(tick.tickMs).toISOString()}`;
  return [
    { ...first, evidence: [...first.evidence, { key: "schedule", value, source: "database" }] },
    ...others,
  ];
}

function paused({ schedule, now }: ScheduleFacts): Reason | undefined {
  const { name, pause } = schedule;
  if (!pause) return undefined;
  const since = new Date(pause.sinceMs);
  return {
    code: "SCHEDULE_PAUSED",
    summary: `the schedule has been paused for ${span(now.getTime() - pause.sinceMs)}, and submits nothing: ${pause.reason}`,
    since,
    evidence: [{ key: "pause_reason", value: pause.reason, source: "database" }, ...lastTick(schedule, now)],
    remedy: `resume it when the reason is gone: \`muster schedule resume ${name}\`; the ticks of the pause are not made up for`,
  };
}

function ended({ schedule, now }: ScheduleFacts): Reason | undefined {
  const { name, nextMs, endMs, pause } = schedule;
  if (pause || nextMs !== undefined) return undefined;
  const why =
    endMs === undefined
      ? "its cron expression has no further tick"
      : `its end was at ${new Date(endMs).toISOString()}`;
  return {
    code: "SCHEDULE_ENDED",
    summary: `the schedule submits nothing any more: ${why}`,
    evidence: lastTick(schedule, now),
    remedy: `set another end or timing with \`muster schedule set ${name}\`, or delete it with \`muster schedule delete ${name}\``,
  };
}

function failing({ schedule, now }: ScheduleFacts): Reason | undefined {
  const { name, failure, dueMs, pause, queue } = schedule;
  if (!failure || pause) return undefined;
  const again = dueMs === undefined ? undefined : dueMs - now.getTime();
  const next = again === undefined ? "" : `; the next try is ${again > 0 ? `in ${span(again)}` : "due"}`;
  return {
    code: "SCHEDULE_FAILING",
    summary: `its tasks have been refused for ${span(now.getTime() - failure.sinceMs)}, ${plural(failure.count, "time")}, with ${failure.code}${next}`,
    since: new Date(failure.sinceMs),
    evidence: [
      { key: "code", value: failure.code, source: "database" },
      { key: "message", value: failure.message, source: "database" },
      ...lastTick(schedule, now),
    ],
    remedy:
      failure.code === "QUEUE_FULL"
        ? `run \`muster why queue:${queue}\`; the tick is submitted as soon as the queue has room`
        : `correct the task with \`muster schedule set ${name}\`: that tries again at once`,
  };
}

function late({ schedule, now }: ScheduleFacts): Reason | undefined {
  const { failure, dueMs, nextMs } = schedule;
  const lateMs = dueMs === undefined || failure ? 0 : now.getTime() - dueMs;
  if (lateMs <= ON_TIME_MS || dueMs === undefined || nextMs === undefined) return undefined;
  return {
    code: "SCHEDULE_LATE",
    summary: `its tick of ${new Date(nextMs).toISOString()} has been due for ${span(lateMs)}, and no scheduler has submitted it`,
    since: new Date(dueMs),
    evidence: lastTick(schedule, now),
    remedy: "run `muster doctor`: it checks whether the schedulers run and what their statements wait for",
  };
}

function overlapping({ schedule, openTaskIds, now }: ScheduleFacts): Reason | undefined {
  const [first] = openTaskIds;
  if (schedule.overlap !== "skip" || first === undefined || schedule.dueMs === undefined) return undefined;
  const id = formatTaskId(first);
  const { skipped, sinceMs } = skippedInARow(schedule.ticks);
  return {
    code: "SCHEDULE_OVERLAPS",
    summary:
      skipped === 0
        ? `its task ${id} is open: a tick that comes before its end is skipped`
        : `its task ${id} is open: the last ${skipped === 1 ? "tick was" : `${skipped} ticks were`} skipped`,
    ...(sinceMs === undefined ? {} : { since: new Date(sinceMs) }),
    evidence: [
      ...openTaskIds.slice(0, NEXT_TICKS).map(
        (task): Evidence => ({
          ...{ key: "open_task", value: formatTaskId(task), source: "database" },
        }),
      ),
      ...nextTicks(schedule, now),
    ],
    remedy: `run \`muster why ${id}\` if it takes longer than it should; it goes on with the first tick after its end`,
  };
}

function waiting({ schedule, now }: ScheduleFacts): Reason {
  const inMs = (schedule.dueMs ?? now.getTime()) - now.getTime();
  return {
    code: "SCHEDULE_WAITING",
    summary: `the next tick is ${inMs > 0 ? `in ${span(inMs)}` : "due now"}`,
    evidence: [...nextTicks(schedule, now), ...lastTick(schedule, now)],
    remedy: `nothing to do; \`muster schedule run-now ${schedule.name}\` submits a task now`,
  };
}

function nextTicks(schedule: Schedule, now: Date): Evidence[] {
  return upcomingTicks(schedule, now.getTime(), NEXT_TICKS).map((tick) => ({
    ...{ key: "next_tick", value: new Date(tick).toISOString(), source: "database" },
  }));
}

function lastTick({ ticks }: Schedule, now: Date): Evidence[] {
  const [last] = ticks;
  if (!last) return [];
  const { tickMs, lastMs, outcome, taskId, count } = last;
  const many = count === undefined ? "" : `${count} up to `;
  const value = `${many}${new Date(lastMs ?? tickMs).toISOString()} ${outcome}${taskId === undefined ? "" : `, ${formatTaskId(taskId)}`}`;
  return [{ key: "last_tick", value, source: "database", ageMs: now.getTime() - last.decidedMs }];
}

/** Ticks that were skipped since the last submit, as far as they are kept. */
function skippedInARow(ticks: readonly TickRecord[]): { skipped: number; sinceMs: number | undefined } {
  const end = ticks.findIndex(({ outcome }) => outcome !== "skipped");
  const skipped = ticks.slice(0, end < 0 ? ticks.length : end);
  return { skipped: skipped.length, sinceMs: skipped.at(-1)?.tickMs };
}
