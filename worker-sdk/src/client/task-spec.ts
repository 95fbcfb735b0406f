import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { RetryPolicy, TaskSpec } from "@muster/protocol";
import {
  ExponentialBackoffSchema,
  FixedBackoffSchema,
  RetryPolicySchema,
  TaskRequirementsSchema,
  TaskSpecSchema,
  TaskTimeoutsSchema,
  TaskWatchdogsSchema,
} from "@muster/protocol";
import { findJsonFault, isBytes } from "../attempt/json-form.ts";
import { durationFromMs } from "../duration.ts";
import { checkSpec } from "./spec-checks.ts";

/**
 * When a failed attempt is followed by another.
 *
 * @example
 * ```ts
 * await client.submit("ocr.page", page, { retry: { maxRetries: 5, exponential: { initialS: 1, jitter: 0.2 } } });
 * ```
 */
export interface RetryOptions {
  /** Attempts after the first one, 0 to 1000. @default 3 */
  readonly maxRetries?: number;
  /**
   * Delays in seconds before retry 1, 2, ...; the last one repeats. Excludes `exponential`. @default the scheduler's
   */
  readonly delaysS?: readonly number[];
  /** A delay that grows with every retry. Excludes `delaysS`. @default the scheduler's */
  readonly exponential?: {
    /** First delay in seconds, more than 0. */
    readonly initialS: number;
    /** Factor from one delay to the next, 1 to 100. @default 2 */
    readonly factor?: number;
    /** Longest delay in seconds. @default 3600 */
    readonly maxS?: number;
    /** Share of the delay that is random, 0 to 1. @default 0 */
    readonly jitter?: number;
  };
  /** Retries after the worker ran out of memory, 0 to 1000. @default 1 */
  readonly maxOutOfMemory?: number;
}

/**
 * Options of a submit.
 *
 * @example
 * ```ts
 * await client.submit("ocr.page", page, { queue: "nightly", priority: 10, timeouts: { runS: 600 } });
 * ```
 */
export interface SubmitOptions {
  /** Queue of the task. @default `default` */
  readonly queue?: string;
  /** Priority, an integer from -1000 to 1000; higher runs first. @default 0 */
  readonly priority?: number;
  /** Earliest start, in seconds after the submit, up to 366 days. Excludes `runTime`. @default 0 */
  readonly delayS?: number;
  /** Earliest start, by the clock of the scheduler. Excludes `delayS`. @default now */
  readonly runTime?: Date;
  /** Key of which a queue has one task at most; a later submit returns a handle of that task. @default none */
  readonly uniqueKey?: string;
  /** Media type of the payload. @default `application/json`, for bytes `application/octet-stream` */
  readonly contentType?: string;
  /** Headers, passed to the worker unchanged. @default none */
  readonly headers?: Readonly<Record<string, string>>;
  /** Labels and resources that a worker must have to run the task. @default none */
  readonly requires?: {
    readonly labels?: Readonly<Record<string, string>>;
    readonly resources?: readonly string[];
  };
  /** Retry policy. @default 3 retries with the scheduler's delays */
  readonly retry?: RetryOptions;
  /** Hard timeouts in seconds, more than 0 and up to 366 days. @default none */
  readonly timeouts?: {
    /** Longest wait for a worker; then the task fails. */
    readonly queueWaitS?: number;
    /** Longest run of an attempt; then it is aborted and fails. */
    readonly runS?: number;
    /** Longest phase of an attempt, by the name of the phase. */
    readonly phasesS?: Readonly<Record<string, number>>;
  };
  /**
   * Thresholds of the soft watchdogs in seconds, which warn and end nothing; 0 means never. @default the scheduler's
   */
  readonly watchdogs?: {
    /** Longest time without a phase, progress or output. */
    readonly runS?: number;
    /** Longest phase, by the name of the phase. */
    readonly phasesS?: Readonly<Record<string, number>>;
  };
}

/** One task of `Client.submitMany`. */
export interface SubmitSpec extends SubmitOptions {
  /** Task type. */
  readonly type: string;
  /** Input: bytes are sent as they are, anything else as JSON; `undefined` becomes `null`. */
  readonly payload?: unknown;
}

/**
 * The protobuf form of a task.
 * @throws OptionsError when numbers are not valid; TypeError when the payload has no JSON form, or when options exclude
 * each other.
 */
export function encodeTaskSpec(spec: SubmitSpec): TaskSpec {
  checkSpec(spec);
  if (spec.delayS !== undefined && spec.runTime !== undefined) {
    throw new TypeError(`Task ${spec.type}: delayS and runTime exclude each other; give one of them.`);
  }
  const bytes = isBytes(spec.payload) ? spec.payload : undefined;
  return create(TaskSpecSchema, {
    taskType: spec.type,
    queue: spec.queue ?? "",
    payload: bytes ?? encodeJson(spec),
    contentType: spec.contentType ?? (bytes === undefined ? "" : "application/octet-stream"),
    headers: { ...spec.headers },
    priority: spec.priority ?? 0,
    uniqueKey: spec.uniqueKey ?? "",
    schedule:
      spec.delayS !== undefined
        ? { case: "delay", value: durationFromMs(spec.delayS * 1000) }
        : spec.runTime !== undefined
          ? { case: "runTime", value: timestampFromDate(spec.runTime) }
          : { case: undefined },
    ...(spec.requires === undefined
      ? {}
      : {
          requirements: create(TaskRequirementsSchema, {
            labels: { ...spec.requires.labels },
            resources: [...(spec.requires.resources ?? [])],
          }),
        }),
    ...(spec.retry === undefined ? {} : { retryPolicy: encodeRetry(spec.type, spec.retry) }),
    ...(spec.timeouts === undefined ? {} : { timeouts: encodeTimeouts(spec.timeouts) }),
    ...(spec.watchdogs === undefined ? {} : { watchdogs: encodeWatchdogs(spec.watchdogs) }),
  });
}

function encodeJson(spec: SubmitSpec): Uint8Array {
  const text = JSON.stringify(spec.payload === undefined ? null : spec.payload);
  const fault = findJsonFault(spec.payload);
  if (text === undefined || fault !== undefined) {
    const { what, instead } = fault ?? { what: `a ${typeof spec.payload}`, instead: "a plain object" };
    throw new TypeError(
      `Task ${spec.type}: the payload is or has ${what}, which has no JSON form; give ${instead}.`,
    );
  }
  return new TextEncoder().encode(text);
}

function encodeRetry(type: string, retry: RetryOptions): RetryPolicy {
  if (retry.delaysS !== undefined && retry.exponential !== undefined) {
    throw new TypeError(`Task ${type}: retry.delaysS and retry.exponential exclude each other.`);
  }
  const policy = create(RetryPolicySchema);
  if (retry.maxRetries !== undefined) policy.maxRetryCount = retry.maxRetries;
  if (retry.maxOutOfMemory !== undefined) policy.maxOutOfMemoryCount = retry.maxOutOfMemory;
  if (retry.delaysS !== undefined) {
    const delays = retry.delaysS.map((seconds) => durationFromMs(seconds * 1000));
    policy.backoff = { case: "fixed", value: create(FixedBackoffSchema, { delays }) };
  }
  if (retry.exponential !== undefined) {
    const { initialS, factor, maxS, jitter } = retry.exponential;
    const value = create(ExponentialBackoffSchema, {
      initialDelay: durationFromMs(initialS * 1000),
      factor: factor ?? 0,
      jitter: jitter ?? 0,
      ...(maxS === undefined ? {} : { maxDelay: durationFromMs(maxS * 1000) }),
    });
    policy.backoff = { case: "exponential", value };
  }
  return policy;
}

function encodeTimeouts({ queueWaitS, runS, phasesS }: NonNullable<SubmitOptions["timeouts"]>) {
  return create(TaskTimeoutsSchema, {
    ...(queueWaitS === undefined ? {} : { queueWait: durationFromMs(queueWaitS * 1000) }),
    ...(runS === undefined ? {} : { run: durationFromMs(runS * 1000) }),
    phases: phaseDurations(phasesS),
  });
}

function encodeWatchdogs({ runS, phasesS }: NonNullable<SubmitOptions["watchdogs"]>) {
  return create(TaskWatchdogsSchema, {
    ...(runS === undefined ? {} : { run: durationFromMs(runS * 1000) }),
    phases: phaseDurations(phasesS),
  });
}

function phaseDurations(phasesS: Readonly<Record<string, number>> = {}) {
  return Object.fromEntries(
    Object.entries(phasesS).map(([phase, seconds]) => [phase, durationFromMs(seconds * 1000)]),
  );
}
