// A schedule in protobuf.

import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  CatchUpPolicy,
  OverlapPolicy,
  type ScheduleSchema,
  type ScheduleSpecSchema,
  ScheduleState,
  type ScheduleTickRecordSchema,
  type TaskSpec,
  TickOutcome,
} from "@muster/protocol";
import { formatTaskId } from "../../../domain/ids.ts";
import {
  type CatchUp,
  type ScheduleState as DomainScheduleState,
  type TickOutcome as DomainTickOutcome,
  type Overlap,
  type Schedule,
  scheduleState,
  type TickRecord,
} from "../../../domain/schedules/schedule.ts";
import { upcomingTicks } from "../../../domain/schedules/tick-times.ts";
import { optional } from "../values/optional.ts";
import { durationFromMs, timestampFromMs } from "../values/time.ts";

/** Next ticks that are sent. */
const NEXT_TICKS = 5;

const STATES: Readonly<Record<DomainScheduleState, ScheduleState>> = {
  active: ScheduleState.ACTIVE,
  failing: ScheduleState.FAILING,
  paused: ScheduleState.PAUSED,
  ended: ScheduleState.ENDED,
};

const OUTCOMES: Readonly<Record<DomainTickOutcome, TickOutcome>> = {
  submitted: TickOutcome.SUBMITTED,
  duplicate: TickOutcome.DUPLICATE,
  skipped: TickOutcome.SKIPPED,
  missed: TickOutcome.MISSED,
};

const CATCH_UP: Readonly<Record<CatchUp, CatchUpPolicy>> = {
  none: CatchUpPolicy.SKIP_MISSED,
  last: CatchUpPolicy.LAST,
  all: CatchUpPolicy.ALL,
};

const OVERLAP: Readonly<Record<Overlap, OverlapPolicy>> = {
  allow: OverlapPolicy.ALLOW,
  skip: OverlapPolicy.SKIP,
  cancel_running: OverlapPolicy.CANCEL_RUNNING,
  queue: OverlapPolicy.QUEUE,
};

/**
 * A schedule in protobuf.
 *
 * @param nowMs The database's clock.
 * @param task The task that it submits; its type and queue by default.
 */
export function fromSchedule(
  schedule: Schedule,
  nowMs: number,
  task?: TaskSpec,
  openTaskIds: readonly number[] = [],
): MessageInitShape<typeof ScheduleSchema> {
  const { pause, failure, dueMs } = schedule;
  return {
    spec: specOf(schedule, task),
    state: STATES[scheduleState(schedule)],
    createTime: timestampFromMs(schedule.createdMs),
    setTime: timestampFromMs(schedule.setMs),
    nextTimes: upcomingTicks(schedule, nowMs, NEXT_TICKS).map(timestampFromMs),
    ...optional("dueTime", dueMs === undefined ? undefined : timestampFromMs(dueMs)),
    ...optional("pauseTime", pause && timestampFromMs(pause.sinceMs)),
    pauseReason: pause?.reason ?? "",
    ...optional(
      "failure",
      failure && {
        code: failure.code,
        message: failure.message,
        sinceTime: timestampFromMs(failure.sinceMs),
        count: failure.count,
      },
    ),
    ticks: schedule.ticks.map(fromRecord),
    openTaskIds: openTaskIds.map(formatTaskId),
  };
}

function specOf(schedule: Schedule, task: TaskSpec | undefined): MessageInitShape<typeof ScheduleSpecSchema> {
  const { timing, startMs, endMs } = schedule;
  return {
    name: schedule.name,
    task: task ?? { taskType: schedule.type, queue: schedule.queue },
    timing:
      timing.kind === "cron"
        ? { case: "cron", value: { expression: timing.expression, timezone: timing.timezone } }
        : { case: "every", value: durationFromMs(timing.everyMs) },
    ...optional("jitter", schedule.jitterMs === 0 ? undefined : durationFromMs(schedule.jitterMs)),
    catchUp: CATCH_UP[schedule.catchUp],
    catchUpLimit: schedule.catchUpLimit,
    overlap: OVERLAP[schedule.overlap],
    ...optional("startTime", startMs === undefined ? undefined : timestampFromMs(startMs)),
    ...optional("endTime", endMs === undefined ? undefined : timestampFromMs(endMs)),
  };
}

function fromRecord(record: TickRecord): MessageInitShape<typeof ScheduleTickRecordSchema> {
  const { lastMs } = record;
  return {
    tickTime: timestampFromMs(record.tickMs),
    outcome: OUTCOMES[record.outcome],
    decideTime: timestampFromMs(record.decidedMs),
    taskId: record.taskId === undefined ? "" : formatTaskId(record.taskId),
    manual: record.manual ?? false,
    count: BigInt(record.count ?? 1),
    ...optional("lastTickTime", lastMs === undefined ? undefined : timestampFromMs(lastMs)),
  };
}
