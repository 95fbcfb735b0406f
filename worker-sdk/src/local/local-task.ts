/** A task that is run without a scheduler, and its assignment. */
import { isUtf8 } from "node:buffer";
import type { TaskContext } from "../attempt/context.ts";
import { isBytes, jsonTextOf } from "../attempt/json-form.ts";
import type { AssignmentGroup } from "../link/messages.ts";

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
  /** Attempts that the retry policy allows in all. @default 4, as a task has by default */
  readonly maxAttempts?: number;
  /** Hard limits in seconds: of the run, and of phases by name. @default none */
  readonly timeouts?: { readonly runS?: number; readonly phasesS?: Readonly<Record<string, number>> };
  /** Thresholds in seconds after which phases are reported as stuck, by name. @default as a worker sets them */
  readonly watchdogs?: { readonly phasesS?: Readonly<Record<string, number>> };
  /** Resources that the task requires; those that are not loaded are loaded first. @default none */
  readonly resources?: readonly string[];
  /** What the task takes of the worker's capacities, by name. @default one slot */
  readonly cost?: Readonly<Record<string, number>>;
  /** What an earlier attempt stored with `ctx.checkpoint()`: any JSON value, or bytes. @default none has */
  readonly resumeFrom?: unknown;
  /** The last progress of earlier attempts, as `ctx.earlierProgress` has it. @default they reported none */
  readonly earlierProgress?: TaskContext["earlierProgress"];
  /** Iterations that earlier attempts have begun. @default 0 */
  readonly iterations?: number;
  /** Iterations that all attempts may begin together. @default no limit */
  readonly maxIterations?: number;
  /** The tick of the schedule that submitted the task. @default none: a producer submitted it */
  readonly schedule?: { readonly name: string; readonly tickTime: Date; readonly manual?: boolean };
}

/** Attempts that the default retry policy allows. */
const DEFAULT_MAX_ATTEMPTS = 4;

/**
 * The assignment of a task, as a scheduler would send it.
 *
 * @throws TypeError when the input has no JSON form; RangeError when a number is not valid.
 */
export function assignmentOf(
  type: string,
  input: unknown,
  { defaultTaskId, ...options }: LocalTaskOptions & { readonly defaultTaskId: string },
): AssignmentGroup {
  const { taskId = defaultTaskId, attempt = 1, headers = {}, schedule } = options;
  checkCount("attempt", attempt, 1);
  const maxAttempts = options.maxAttempts ?? Math.max(attempt, DEFAULT_MAX_ATTEMPTS);
  checkCount("maxAttempts", maxAttempts, attempt);
  const bytes = isBytes(input);
  const contentType = options.contentType ?? (bytes ? "application/octet-stream" : "application/json");
  return {
    common: {
      type,
      queue: options.queue ?? "default",
      maxAttempts,
      contentType,
      runTimeoutMs: millis("timeouts.runS", options.timeouts?.runS),
      phaseTimeoutsMs: allMillis("timeouts.phasesS", options.timeouts?.phasesS),
      phaseWarningsMs: allMillis("watchdogs.phasesS", options.watchdogs?.phasesS),
      resources: [...(options.resources ?? [])],
      cost: options.cost,
      tick: schedule && {
        schedule: schedule.name,
        tickMs: schedule.tickTime.getTime(),
        manual: schedule.manual ?? false,
      },
      resumePoint:
        options.resumeFrom === undefined ? undefined : { value: storedForm(type, options.resumeFrom) },
      earlierProgress: options.earlierProgress,
      iterations: options.iterations ?? 0,
      maxIterations: options.maxIterations ?? 0,
    },
    attemptIds: [`${taskId}.${attempt}`],
    taskIds: [taskId],
    attemptNumbers: [attempt],
    payloads: [bytes ? decoded(input, contentType) : jsonTextOf(type, input)],
    headers: Object.entries(headers).map(([name, value]) => ({ name, values: [value] })),
  };
}

function storedForm(type: string, value: unknown): string | Uint8Array {
  return isBytes(value) ? value : jsonTextOf(type, value);
}

/** JSON in UTF-8 as text, as the connection's thread passes it on. */
function decoded(bytes: Uint8Array, contentType: string): string | Uint8Array {
  return contentType.startsWith("application/json") && isUtf8(bytes)
    ? Buffer.from(bytes).toString("utf8")
    : bytes;
}

function allMillis(
  name: string,
  seconds: Readonly<Record<string, number>> | undefined,
): Record<string, number> {
  const entries = Object.entries(seconds ?? {});
  return Object.fromEntries(
    entries.map(([phase, s]) => [phase, millis(`${name}.${phase}`, s) ?? 0] as const),
  );
}

function millis(name: string, seconds: number | undefined): number | undefined {
  if (seconds === undefined) return undefined;
  if (!(Number.isFinite(seconds) && seconds >= 0))
    throw new RangeError(`option ${name}: ${seconds} is not a number of seconds from 0`);
  return seconds * 1000;
}

function checkCount(name: string, value: number, least: number): void {
  if (!Number.isSafeInteger(value) || value < least)
    throw new RangeError(`option ${name}: ${value} is not an integer from ${least}`);
}
