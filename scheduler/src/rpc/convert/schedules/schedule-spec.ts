// A schedule that a caller sets, checked; and the task that it submits, read again.

import { fromBinary, toBinary } from "@bufbuild/protobuf";
import type { Duration, Timestamp } from "@bufbuild/protobuf/wkt";
import { NAME, NAME_RULE } from "@muster/common/text/name-forms";
import { quoted } from "@muster/common/text/text";
import {
  CatchUpPolicy,
  OverlapPolicy,
  type ScheduleSpec,
  type TaskSpec,
  TaskSpecSchema,
} from "@muster/protocol";
import type { SizeLimits } from "../../../dispatch/limits.ts";
import { Refusal, type Violation } from "../../../domain/errors.ts";
import { invalidRequest } from "../../../domain/refusals.ts";
import { CronTimes } from "../../../domain/schedules/cron.ts";
import {
  type CatchUp,
  DEFAULT_CATCH_UP_LIMIT,
  MAX_CATCH_UP_LIMIT,
  type Overlap,
  type Timing,
} from "../../../domain/schedules/schedule.ts";
import type { WantedSchedule } from "../../../domain/schedules/schedule-changes.ts";
import { isTimeZone } from "../../../domain/schedules/time-zone.ts";
import type { NewTask } from "../../../domain/tasks/task.ts";
import type { Report } from "../tasks/options.ts";
import { toTask } from "../tasks/task-spec.ts";
import { durationFault, timestampFault } from "../values/time.ts";

const LEAST_EVERY_MS = 1_000;
const DAY_MS = 86_400_000;
const MAX_EVERY_MS = 366 * DAY_MS;
const MAX_EXPRESSION = 256;
const MAX_TIMEZONE = 64;

/** Violations that are reported. */
const MAX_VIOLATIONS = 50;

const CATCH_UP: Readonly<Record<CatchUpPolicy, CatchUp>> = {
  [CatchUpPolicy.UNSPECIFIED]: "last",
  [CatchUpPolicy.SKIP_MISSED]: "none",
  [CatchUpPolicy.LAST]: "last",
  [CatchUpPolicy.ALL]: "all",
};

const OVERLAP: Readonly<Record<OverlapPolicy, Overlap>> = {
  [OverlapPolicy.UNSPECIFIED]: "skip",
  [OverlapPolicy.ALLOW]: "allow",
  [OverlapPolicy.SKIP]: "skip",
  [OverlapPolicy.CANCEL_RUNNING]: "cancel_running",
  [OverlapPolicy.QUEUE]: "queue",
};

/**
 * A valid schedule from what a caller sent, and its task as it is kept.
 *
 * @throws Refusal `INVALID_REQUEST`, with every fault at once.
 */
export function toWantedSchedule(
  spec: ScheduleSpec | undefined,
  limits: SizeLimits,
): { wanted: WantedSchedule; template: Uint8Array } {
  if (!spec) throw invalidRequest({ field: "schedule", description: "is required" });
  const violations: Violation[] = [];
  const report: Report = (field, description) => {
    if (violations.length < MAX_VIOLATIONS) violations.push({ field: `schedule.${field}`, description });
  };
  if (!NAME.test(spec.name)) report("name", `${quoted(spec.name, 100)} ${NAME_RULE}`);
  const task = spec.task && toScheduledTask(spec.task, limits, report);
  if (!task) report("task", "is required: the task that each tick submits");
  const timing = toTiming(spec, report);
  const startMs = toMoment(spec.startTime, "start_time", report);
  const endMs = toMoment(spec.endTime, "end_time", report);
  if (startMs !== undefined && endMs !== undefined && endMs <= startMs)
    report("end_time", "is not after start_time; no tick would be between them");
  const { catchUpLimit = 0 } = spec;
  if (catchUpLimit < 0 || catchUpLimit > MAX_CATCH_UP_LIMIT)
    report(
      "catch_up_limit",
      `${catchUpLimit} is not between 1 and ${MAX_CATCH_UP_LIMIT}, or 0 for the default`,
    );
  // An enum of protobuf may hold any number.
  const catchUp: CatchUp | undefined = CATCH_UP[spec.catchUp];
  if (!catchUp) report("catch_up", `${spec.catchUp} is no policy: SKIP_MISSED, LAST and ALL are`);
  const overlap: Overlap | undefined = OVERLAP[spec.overlap];
  if (!overlap) report("overlap", `${spec.overlap} is no policy: ALLOW, SKIP, CANCEL_RUNNING and QUEUE are`);
  const jitterMs = spec.jitter ? lengthOf(spec.jitter, DAY_MS, "jitter", report) : 0;
  const [first, ...further] = violations;
  if (first || !spec.task || !task || !timing || !catchUp || !overlap)
    throw invalidRequest(first ?? { field: "schedule", description: "is not valid" }, ...further);
  return {
    wanted: {
      ...{ name: spec.name, queue: task.queue, type: task.type, timing, jitterMs, catchUp, overlap },
      catchUpLimit: catchUpLimit || DEFAULT_CATCH_UP_LIMIT,
      ...(startMs === undefined ? {} : { startMs }),
      ...(endMs === undefined ? {} : { endMs }),
    },
    template: toBinary(TaskSpecSchema, spec.task),
  };
}

/**
 * The task of a schedule, as `toWantedSchedule` kept it. The limits may be others by now.
 *
 * @throws Refusal `INVALID_TASK` or `PAYLOAD_TOO_LARGE`.
 */
export function readTemplate(template: Uint8Array, limits: SizeLimits): NewTask {
  const violations: Violation[] = [];
  const spec = specOf(template);
  const task = toScheduledTask(
    spec,
    limits,
    (field, description) => void violations.push({ field, description }),
  );
  const [first] = violations;
  if (!first) return task;
  const tooLarge = spec.payload.byteLength > limits.maxPayloadBytes;
  throw new Refusal(
    "invalid",
    tooLarge ? "PAYLOAD_TOO_LARGE" : "INVALID_TASK",
    `${first.field} ${first.description}`,
    { violations: violations.slice(0, MAX_VIOLATIONS), violationCount: violations.length },
  );
}

/** The TaskSpec of a kept task. @throws Refusal `INVALID_TASK` */
export function specOf(template: Uint8Array): TaskSpec {
  try {
    return fromBinary(TaskSpecSchema, template);
  } catch (error) {
    const message = `the kept task of the schedule cannot be read: ${error instanceof Error ? error.message : String(error)}; set the schedule again`;
    throw new Refusal("invalid", "INVALID_TASK", message, { cause: error });
  }
}

function toScheduledTask(spec: TaskSpec, limits: SizeLimits, report: Report): NewTask {
  const inTask: Report = (field, description) => report(`task.${field}`, description);
  // A rule without a key would be reported as that.
  const task = toTask({ ...spec, uniqueKey: spec.uniqueKey || "of each tick" }, 0, limits, inTask);
  const mistake = "is set, and each tick has a unique key of its own; leave it out";
  if (spec.uniqueKey !== "") inTask("unique_key", mistake);
  if (spec.uniqueRule !== undefined) inTask("unique_rule", mistake);
  if (spec.after.length > 0)
    inTask("after", "is set, and the tasks of a schedule wait for no others; leave it out");
  if (spec.batchId !== "")
    inTask("batch_id", "is set, and the tasks of a schedule join no batch; leave it out");
  if (spec.schedule.case === "runTime")
    inTask("run_time", "is one moment for all ticks; leave it out, or give a delay");
  return { ...task, uniqueKey: undefined };
}

function toTiming({ timing }: ScheduleSpec, report: Report): Timing | undefined {
  switch (timing.case) {
    case "every": {
      const everyMs = lengthOf(timing.value, MAX_EVERY_MS, "every", report);
      if (everyMs < LEAST_EVERY_MS) report("every", `${everyMs / 1_000} s is less than 1 s`);
      return { kind: "interval", everyMs };
    }
    case "cron": {
      const { expression, timezone: given } = timing.value;
      const timezone = given || "UTC";
      const isZone = timezone.length <= MAX_TIMEZONE && isTimeZone(timezone);
      if (!isZone)
        report(
          "cron.timezone",
          `${quoted(timezone, 80)} is no name of the time zone database, for example Europe/Berlin`,
        );
      const fault = expressionFault(expression);
      if (fault !== undefined) report("cron.expression", fault);
      return { kind: "cron", expression, timezone };
    }
    default:
      report("cron", "is not set, and neither is every; give one of the two");
      return undefined;
  }
}

function expressionFault(expression: string): string | undefined {
  if (expression.length > MAX_EXPRESSION)
    return `has ${expression.length} characters; at most ${MAX_EXPRESSION} are allowed`;
  const form = "give minute, hour, day, month and day of the week, for example 30 2 * * MON-FRI";
  try {
    if (new CronTimes(expression, "UTC").nextAfter(0) !== undefined) return undefined;
    return `${quoted(expression, 80)} has no tick: no day is like that`;
  } catch (error) {
    const why = error instanceof Error ? error.message.replace(/^CronPattern: /, "") : String(error);
    return `${quoted(expression, 80)} is no cron expression (${quoted(why, 120)}): ${form}`;
  }
}

function lengthOf(duration: Duration, maxMs: number, field: string, report: Report): number {
  const fault = durationFault(duration, maxMs);
  if (fault !== undefined) report(field, fault);
  return Math.ceil(Number(duration.seconds) * 1_000 + duration.nanos / 1e6);
}

function toMoment(time: Timestamp | undefined, field: string, report: Report): number | undefined {
  if (!time) return undefined;
  const fault = timestampFault(time);
  if (fault !== undefined) report(field, fault);
  return Math.floor(Number(time.seconds) * 1_000 + time.nanos / 1e6);
}
