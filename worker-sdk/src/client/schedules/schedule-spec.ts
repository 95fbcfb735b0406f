/** The options of a schedule. */
import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { CatchUpPolicy, OverlapPolicy, type ScheduleSpec, ScheduleSpecSchema } from "@muster/protocol";
import { durationFromMs } from "../../duration.ts";
import { OptionsError } from "../../options/options-error.ts";
import type { SubmitOptions } from "../submit/submit-spec.ts";
import { encodeTaskSpec } from "../submit/task-spec.ts";

/**
 * Options of `client.schedules.set()`: the task, as for a submit, and when it is submitted. Exactly one of `cron` and
 * `everyS` is given.
 */
export interface ScheduleOptions
  extends Omit<SubmitOptions, "uniqueKey" | "unique" | "runTime" | "after" | "batchId"> {
  /** Task type. */
  readonly type: string;
  /** The input of each task, as for a submit. @default none */
  readonly payload?: unknown;
  /** Cron expression of five fields, or of six with the second first; or `@hourly`, `@daily` and so on. @default none */
  readonly cron?: string;
  /** Time zone of the expression, for example `Europe/Berlin`. @default `UTC` */
  readonly timezone?: string;
  /** Seconds from tick to tick, 1 to 31,622,400; counted from `startTime`, or from 1970-01-01T00:00:00Z. @default none */
  readonly everyS?: number;
  /** Each tick is submitted up to so many seconds later, always the same for the same tick; at most 86,400. @default 0 */
  readonly jitterS?: number;
  /**
   * What becomes of ticks that were missed: of several due ticks all but the latest, and the latest when it is more than a
   * minute late. `none` submits none of them, `last` the latest one, `all` up to `catchUpLimit`.
   * @default `last`
   */
  readonly catchUp?: "none" | "last" | "all";
  /** Most missed ticks that `all` submits, the latest ones; 1 to 1,000. @default 100 */
  readonly catchUpLimit?: number;
  /**
   * What becomes of a tick while a task of an earlier one is open: `skip` submits nothing, `allow` submits it, `queue` lets
   * it wait until none of the others runs, `cancel_running` cancels the others.
   * @default `skip`
   */
  readonly overlap?: "allow" | "skip" | "cancel_running" | "queue";
  /** No tick is before this. @default from now on */
  readonly startTime?: Date;
  /** No tick is after this. @default no end */
  readonly endTime?: Date;
  /** Who sets it and why: operators see it. @default none */
  readonly reason?: string;
}

const CATCH_UP: Readonly<Record<NonNullable<ScheduleOptions["catchUp"]>, CatchUpPolicy>> = {
  none: CatchUpPolicy.SKIP_MISSED,
  last: CatchUpPolicy.LAST,
  all: CatchUpPolicy.ALL,
};

const OVERLAP: Readonly<Record<NonNullable<ScheduleOptions["overlap"]>, OverlapPolicy>> = {
  allow: OverlapPolicy.ALLOW,
  skip: OverlapPolicy.SKIP,
  cancel_running: OverlapPolicy.CANCEL_RUNNING,
  queue: OverlapPolicy.QUEUE,
};

/**
 * The protobuf form of a schedule.
 * @throws OptionsError when numbers are not valid; TypeError when the payload has no JSON form, or when not exactly one of
 * `cron` and `everyS` is given.
 */
export function encodeSchedule(name: string, options: ScheduleOptions): ScheduleSpec {
  const { cron, timezone, everyS, jitterS, catchUp, catchUpLimit, overlap, startTime, endTime, ...rest } =
    options;
  const { reason: _reason, ...task } = rest;
  if ((cron === undefined) === (everyS === undefined))
    throw new TypeError(`Schedule ${name}: give exactly one of cron and everyS.`);
  if (timezone !== undefined && cron === undefined)
    throw new TypeError(`Schedule ${name}: timezone belongs to cron; everyS is the same in every zone.`);
  checkOptions(options);
  return create(ScheduleSpecSchema, {
    name,
    task: encodeTaskSpec(task),
    timing:
      cron === undefined
        ? { case: "every", value: durationFromMs((everyS ?? 0) * 1_000) }
        : { case: "cron", value: { expression: cron, timezone: timezone ?? "" } },
    ...(jitterS === undefined ? {} : { jitter: durationFromMs(jitterS * 1_000) }),
    ...(catchUp === undefined ? {} : { catchUp: CATCH_UP[catchUp] }),
    ...(catchUpLimit === undefined ? {} : { catchUpLimit }),
    ...(overlap === undefined ? {} : { overlap: OVERLAP[overlap] }),
    ...(startTime === undefined ? {} : { startTime: timestampFromDate(startTime) }),
    ...(endTime === undefined ? {} : { endTime: timestampFromDate(endTime) }),
  });
}

function checkOptions({
  everyS,
  jitterS,
  catchUp,
  catchUpLimit,
  overlap,
  startTime,
  endTime,
}: ScheduleOptions) {
  const faults: string[] = [];
  const check = (option: string, value: number | undefined, min: number, max: number) => {
    if (value !== undefined && !(typeof value === "number" && value >= min && value <= max))
      faults.push(`option ${option}: ${String(value)} is not a number from ${min} to ${max}`);
  };
  const choose = (option: string, value: string | undefined, choices: object) => {
    if (value !== undefined && !Object.hasOwn(choices, value))
      faults.push(`option ${option}: ${String(value)} is none of ${Object.keys(choices).join(", ")}`);
  };
  check("everyS", everyS, 1, 31_622_400);
  check("jitterS", jitterS, 0, 86_400);
  check("catchUpLimit", catchUpLimit, 1, 1_000);
  if (catchUpLimit !== undefined && !Number.isInteger(catchUpLimit))
    faults.push(`option catchUpLimit: ${String(catchUpLimit)} is not an integer`);
  choose("catchUp", catchUp, CATCH_UP);
  choose("overlap", overlap, OVERLAP);
  for (const [option, time] of Object.entries({ startTime, endTime }))
    if (time !== undefined && Number.isNaN(time.getTime()))
      faults.push(`option ${option}: Invalid Date is not a moment; give a valid Date`);
  if (faults.length > 0) throw new OptionsError("Schedule", faults);
}
