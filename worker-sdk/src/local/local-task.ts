/** A task that is run without a scheduler, and its assignment. */

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { AssignmentSchema, StepState, TaskStepSchema } from "@muster/protocol";
import type { TaskContext } from "../attempt/context.ts";
import { isBytes, jsonTextOf } from "../attempt/json-form.ts";
import { durationFromMs } from "../duration.ts";
import type { AssignmentGroup } from "../link/assignment.ts";
import { groupAssignments } from "../link/codec/wire.ts";
import { type OptionNames, unknownOptions } from "../options/known-options.ts";
import { OptionsError } from "../options/options-error.ts";

const NAMES: OptionNames<LocalTaskOptions> = {
  contentType: true,
  headers: true,
  queue: true,
  taskId: true,
  attempt: true,
  maxAttempts: true,
  timeouts: true,
  watchdogs: true,
  resources: true,
  cost: true,
  resumeFrom: true,
  steps: true,
  earlierProgress: true,
  iterations: true,
  maxIterations: true,
  schedule: true,
};

/** What a scheduler would know of the task; everything has a default. */
export interface LocalTaskOptions {
  /** Media type of the input. @default `application/json`, for bytes `application/octet-stream` */
  readonly contentType?: string;
  /** Headers of the submit. @default none */
  readonly headers?: Readonly<Record<string, string>>;
  /** Queue of the task. @default `default` */
  readonly queue?: string;
  /** Id of the task. @default `t-1`, `t-2`, ... in the order of the runs */
  readonly taskId?: string;
  /** Number of the attempt, from 1. @default 1 */
  readonly attempt?: number;
  /** Attempts that the retry policy allows in all, an integer from 1. @default 4, as a task has by default */
  readonly maxAttempts?: number;
  /** Hard limits. @default none */
  readonly timeouts?: {
    /** Longest run in seconds. */
    readonly runS?: number;
    /** Longest phase in seconds, by the name of the phase. */
    readonly phasesS?: Readonly<Record<string, number>>;
  };
  /** Thresholds of the soft watchdogs. @default as a worker sets them */
  readonly watchdogs?: {
    /** Seconds after which a phase is reported as stuck, by the name of the phase. */
    readonly phasesS?: Readonly<Record<string, number>>;
  };
  /** Resources that the task requires; those that are not loaded are loaded first. @default none */
  readonly resources?: readonly string[];
  /** What the task takes of the worker's capacities, by name, in whole units from 0. @default one slot */
  readonly cost?: Readonly<Record<string, number>>;
  /** What an earlier attempt stored with `ctx.checkpoint()`: any JSON value, or bytes. @default none has */
  readonly resumeFrom?: unknown;
  /** Results of steps (`ctx.step()`) that earlier attempts have finished, by name. @default none has */
  readonly steps?: Readonly<Record<string, unknown>>;
  /** The last progress of earlier attempts, as `ctx.earlierProgress` has it. @default they reported none */
  readonly earlierProgress?: TaskContext["earlierProgress"];
  /** Iterations that earlier attempts have begun, an integer from 0. @default 0 */
  readonly iterations?: number;
  /** Iterations that all attempts may begin together, an integer from 1. @default no limit */
  readonly maxIterations?: number;
  /** The tick of the schedule that submitted the task. @default none: a producer submitted it */
  readonly schedule?: {
    /** Name of the schedule. */
    readonly name: string;
    /** The tick without jitter. */
    readonly tickTime: Date;
    /** Whether it was run on request. @default false */
    readonly manual?: boolean;
  };
}

/** Attempts that the default retry policy allows. */
const DEFAULT_MAX_ATTEMPTS = 4;

/** Bytes with their media type. */
interface Content {
  readonly bytes: Uint8Array;
  readonly contentType: string;
}

type Init = MessageInitShape<typeof AssignmentSchema>;

/**
 * The assignment of a task, read as the connection's thread reads that of a scheduler.
 *
 * @throws TypeError when the input has no JSON form; RangeError when a number is not valid; OptionsError for an option that is not
 * known.
 */
export function assignmentOf(
  type: string,
  input: unknown,
  options: LocalTaskOptions & { readonly taskId: string },
): AssignmentGroup[] {
  const unknown = unknownOptions(options, NAMES);
  if (unknown.length > 0) throw new OptionsError(`Task ${type}`, unknown);
  const { taskId, attempt = 1, timeouts, watchdogs } = options;
  checkCount("attempt", attempt, 1);
  const maxAttempts = options.maxAttempts ?? Math.max(attempt, DEFAULT_MAX_ATTEMPTS);
  checkCount("maxAttempts", maxAttempts, attempt);
  const { bytes, contentType } = contentOf(type, input, options.contentType);
  const runTimeout = timeouts?.runS;
  const assignment = create(AssignmentSchema, {
    ...{ taskId, attemptId: `${taskId}.${attempt}`, taskType: type, queue: options.queue ?? "default" },
    ...{ attemptNumber: attempt, maxAttemptCount: maxAttempts, payload: bytes, contentType },
    headers: options.headers ?? {},
    ...(runTimeout === undefined ? {} : { runTimeout: duration("timeouts.runS", runTimeout) }),
    phaseTimeouts: durations("timeouts.phasesS", timeouts?.phasesS),
    phaseWarnings: durations("watchdogs.phasesS", watchdogs?.phasesS),
    resources: [...(options.resources ?? [])],
    cost: costOf(options.cost),
    iterationCount: options.iterations ?? 0,
    maxIterationCount: options.maxIterations ?? 0,
    ...tickOf(options.schedule),
    steps: Object.entries(options.steps ?? {}).map(([name, result]) =>
      create(TaskStepSchema, { name, state: StepState.DONE, result: Buffer.from(jsonTextOf(type, result)) }),
    ),
    ...earlierOf(type, options),
  });
  return groupAssignments([assignment]);
}

function contentOf(type: string, value: unknown, contentType: string | undefined): Content {
  return isBytes(value)
    ? { bytes: value, contentType: contentType ?? "application/octet-stream" }
    : { bytes: Buffer.from(jsonTextOf(type, value)), contentType: contentType ?? "application/json" };
}

function tickOf(schedule: LocalTaskOptions["schedule"]): Pick<Init, "scheduleTick"> {
  if (schedule === undefined) return {};
  const { name, tickTime, manual = false } = schedule;
  return { scheduleTick: { schedule: name, tickTime: timestampFromDate(tickTime), manual } };
}

/** What earlier attempts have left. */
function earlierOf(
  type: string,
  { resumeFrom, earlierProgress }: LocalTaskOptions,
): Pick<Init, "resumePoint" | "earlierProgress"> {
  const stored = resumeFrom === undefined ? undefined : contentOf(type, resumeFrom, undefined);
  const { done, total, ...progress } = earlierProgress ?? {};
  return {
    ...(stored && { resumePoint: { value: stored.bytes, contentType: stored.contentType } }),
    ...(earlierProgress && {
      earlierProgress: {
        ...progress,
        ...(done === undefined ? {} : { doneCount: BigInt(done) }),
        ...(total === undefined ? {} : { totalCount: BigInt(total) }),
      },
    }),
  };
}

function costOf(cost: Readonly<Record<string, number>> = {}): Record<string, bigint> {
  return Object.fromEntries(
    Object.entries(cost).map(([name, amount]) => {
      checkCount(`cost.${name}`, amount, 0);
      return [name, BigInt(amount)] as const;
    }),
  );
}

function durations(name: string, seconds: Readonly<Record<string, number>> = {}) {
  return Object.fromEntries(
    Object.entries(seconds).map(([phase, s]) => [phase, duration(`${name}.${phase}`, s)] as const),
  );
}

function duration(name: string, seconds: number) {
  if (!(Number.isFinite(seconds) && seconds >= 0))
    throw new RangeError(`option ${name}: ${seconds} is not a number of seconds from 0`);
  return durationFromMs(seconds * 1000);
}

function checkCount(name: string, value: number, least: number): void {
  if (!Number.isSafeInteger(value) || value < least)
    throw new RangeError(`option ${name}: ${value} is not an integer from ${least}`);
}
