// Retry policy, timeouts, watchdogs and tags of a task in protobuf, and back.

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Duration } from "@bufbuild/protobuf/wkt";
import { quoted } from "@muster/common/text/text";
import {
  type FixedBackoff,
  type RetryPolicy as RetryPolicyMessage,
  type RetryPolicySchema,
  RetryPolicySource,
  type RetryPolicySourcesSchema,
  type TaskSpec,
  type TaskTimeouts,
  type TaskTimeoutsSchema,
  type TaskWatchdogs as TaskWatchdogsMessage,
  type TaskWatchdogsSchema,
} from "@muster/protocol";
import type { TaskWatchdogs } from "../../../domain/tasks/attempts/watchdog.ts";
import { type Backoff, DEFAULT_RETRY_POLICY, type RetryPolicy } from "../../../domain/tasks/outcome/retry.ts";
import type { ResolvedRetry, RetrySource } from "../../../domain/tasks/outcome/retry-defaults.ts";
import type { TaskOptions, Timeouts } from "../../../domain/tasks/task.ts";
import type { Amounts } from "../values/amounts.ts";
import { optional } from "../values/optional.ts";
import { durationFault, durationFromMs } from "../values/time.ts";
import { MAX_ITERATIONS } from "./attempts/attempt-report.ts";
import { fromOutOfMemoryChange, toOutOfMemoryChange } from "./out-of-memory.ts";
import { toTags } from "./tags.ts";

const MAX_RETRIES = 1_000;

/** A year: longer waits are taken for mistakes in the unit. */
const MAX_WAIT_MS = 366 * 24 * 3_600_000;

/** Reports a fault of a field. */
export type Report = (field: string, description: string) => void;

/** A retry policy in protobuf. */
export function fromRetryPolicy(policy: RetryPolicy): MessageInitShape<typeof RetryPolicySchema> {
  return {
    maxRetryCount: policy.maxRetries,
    maxOutOfMemoryCount: policy.maxOutOfMemory,
    ...optional("retryTimeouts", policy.retryTimeouts),
    ...optional("onOutOfMemory", policy.onOutOfMemory && fromOutOfMemoryChange(policy.onOutOfMemory)),
    backoff: fromBackoff(policy.backoff),
    ...optional("lostBackoff", policy.lostDelaysMs && fromDelays(policy.lostDelaysMs)),
  };
}

/** A list of waits in protobuf. */
export function fromDelays(delaysMs: readonly number[]) {
  return { delays: delaysMs.map((ms) => durationFromMs(ms)) };
}

const SOURCES: Readonly<Record<RetrySource, RetryPolicySource>> = {
  task: RetryPolicySource.TASK,
  queue: RetryPolicySource.QUEUE,
  scheduler: RetryPolicySource.SCHEDULER,
  built_in: RetryPolicySource.BUILT_IN,
};

/** Where a policy comes from, in protobuf. */
export function fromRetrySources(
  sources: ResolvedRetry["sources"],
): MessageInitShape<typeof RetryPolicySourcesSchema> {
  return {
    maxRetryCount: SOURCES[sources.maxRetries],
    backoff: SOURCES[sources.backoff],
    lostBackoff: SOURCES[sources.lostDelaysMs],
  };
}

/** Waits in protobuf. */
export function fromBackoff(backoff: Backoff) {
  if (backoff.kind === "fixed") {
    return { case: "fixed", value: fromDelays(backoff.delaysMs) } as const;
  }
  const { initialMs, factor, maxMs, jitter } = backoff;
  const value = { initialDelay: durationFromMs(initialMs), factor, maxDelay: durationFromMs(maxMs), jitter };
  return { case: "exponential", value } as const;
}

/** Timeouts in protobuf. */
export function fromTimeouts(timeouts: Timeouts): MessageInitShape<typeof TaskTimeoutsSchema> {
  const duration = (ms: number | undefined) => (ms === undefined ? undefined : durationFromMs(ms));
  return {
    ...optional("queueWait", duration(timeouts.queueWaitMs)),
    ...optional("run", duration(timeouts.runMs)),
    phases: Object.fromEntries(
      Object.entries(timeouts.phasesMs ?? {}).map(([phase, ms]) => [phase, durationFromMs(ms)]),
    ),
  };
}

/** Watchdogs in protobuf. */
export function fromWatchdogs(watchdogs: TaskWatchdogs): MessageInitShape<typeof TaskWatchdogsSchema> {
  return {
    ...optional("run", watchdogs.runMs === undefined ? undefined : durationFromMs(watchdogs.runMs)),
    phases: Object.fromEntries(
      Object.entries(watchdogs.phasesMs ?? {}).map(([phase, ms]) => [phase, durationFromMs(ms)]),
    ),
  };
}

/** The options of a submitted task; undefined when it sets none. */
export function toTaskOptions(spec: TaskSpec, report: Report): TaskOptions | undefined {
  const cost = spec.requirements?.cost ?? {};
  const retry = spec.retryPolicy && toRetryPolicy(spec.retryPolicy, cost, report);
  const timeouts = spec.timeouts && toTimeouts(spec.timeouts, report);
  const watchdogs = spec.watchdogs && toWatchdogs(spec.watchdogs, report);
  const tags = toTags(spec.tags, report);
  const maxIterations = toMaxIterations(spec.maxIterationCount, report);
  if (!retry && !timeouts && !watchdogs && !tags && maxIterations === undefined) return undefined;
  return {
    ...optional("maxIterations", maxIterations),
    ...(retry ? { retry } : {}),
    ...(timeouts ? { timeouts } : {}),
    ...(watchdogs ? { watchdogs } : {}),
    ...(tags ? { tags } : {}),
  };
}

function toMaxIterations(count: number, report: Report): number | undefined {
  if (count === 0) return undefined;
  if (count < 0 || count > MAX_ITERATIONS)
    report("max_iteration_count", `${count} is not from 1 to ${MAX_ITERATIONS}, or 0 for no limit`);
  return count;
}

function toWatchdogs(message: TaskWatchdogsMessage, report: Report): TaskWatchdogs {
  const { run } = message;
  checkPhaseNames(Object.keys(message.phases), "watchdogs.phases", report);
  const phases = Object.entries(message.phases).map(
    ([phase, duration]) =>
      [phase, milliseconds(duration, `watchdogs.phases[${quoted(phase, 128)}]`, report)] as const,
  );
  return {
    ...(run ? { runMs: milliseconds(run, "watchdogs.run", report) } : {}),
    ...(phases.length === 0 ? {} : { phasesMs: Object.fromEntries(phases) }),
  };
}

function checkPhaseNames(names: readonly string[], field: string, report: Report): void {
  for (const phase of names) {
    if (phase.length > 128 || phase.includes("\0"))
      report(field, `${quoted(phase, 40)} must have at most 128 characters and no NUL`);
  }
}

function toRetryPolicy(message: RetryPolicyMessage, cost: Amounts, report: Report): RetryPolicy {
  const maxRetries = message.maxRetryCount ?? DEFAULT_RETRY_POLICY.maxRetries;
  const maxOutOfMemory = message.maxOutOfMemoryCount ?? DEFAULT_RETRY_POLICY.maxOutOfMemory;
  checkRetries(maxRetries, "retry_policy.max_retry_count", report);
  checkRetries(maxOutOfMemory, "retry_policy.max_out_of_memory_count", report);
  const defaulted = [
    ...(message.maxRetryCount === undefined ? (["maxRetries"] as const) : []),
    ...(message.backoff.case === undefined ? (["backoff"] as const) : []),
  ];
  return {
    maxRetries,
    backoff: toBackoff(message.backoff, "retry_policy", report) ?? DEFAULT_RETRY_POLICY.backoff,
    maxOutOfMemory,
    ...(defaulted.length === 0 ? {} : { defaulted }),
    ...optional("retryTimeouts", message.retryTimeouts),
    ...optional(
      "onOutOfMemory",
      message.onOutOfMemory && toOutOfMemoryChange(message.onOutOfMemory, cost, report),
    ),
    ...optional(
      "lostDelaysMs",
      message.lostBackoff && toDelays(message.lostBackoff, "retry_policy.lost_backoff", report),
    ),
  };
}

/** Reports a number of retries that is not allowed. */
export function checkRetries(value: number, field: string, report: Report): void {
  if (value < 0 || value > MAX_RETRIES) report(field, `${value} is not between 0 and ${MAX_RETRIES}`);
}

/** The waits of a policy at `field`; undefined when it has none. */
export function toBackoff(
  backoff: RetryPolicyMessage["backoff"],
  field: string,
  report: Report,
): Backoff | undefined {
  switch (backoff.case) {
    case "fixed":
      return { kind: "fixed", delaysMs: toDelays(backoff.value, `${field}.fixed`, report) };
    case "exponential": {
      const { initialDelay, factor, maxDelay, jitter } = backoff.value;
      const at = `${field}.exponential`;
      const initialMs = initialDelay ? milliseconds(initialDelay, `${at}.initial_delay`, report) : 0;
      if (initialMs <= 0) report(`${at}.initial_delay`, "is required and must be more than zero");
      if (factor !== 0 && !(factor >= 1 && factor <= 100))
        report(`${at}.factor`, `${factor} is not between 1 and 100`);
      if (!(jitter >= 0 && jitter <= 1)) report(`${at}.jitter`, `${jitter} is not between 0 and 1`);
      return {
        kind: "exponential",
        initialMs,
        factor: factor === 0 ? 2 : factor,
        maxMs: maxDelay ? milliseconds(maxDelay, `${at}.max_delay`, report) : 3_600_000,
        jitter,
      };
    }
    default:
      return undefined;
  }
}

/** A list of waits of a message at `field`. */
export function toDelays({ delays }: FixedBackoff, field: string, report: Report): readonly number[] {
  const at = `${field}.delays`;
  if (delays.length === 0 || delays.length > 100)
    report(at, `has ${delays.length} entries; 1 to 100 are allowed`);
  return delays.map((delay, index) => milliseconds(delay, `${at}[${index}]`, report));
}

function toTimeouts(message: TaskTimeouts, report: Report): Timeouts {
  const positive = (duration: Duration | undefined, field: string) => {
    if (!duration) return undefined;
    const ms = milliseconds(duration, `timeouts.${field}`, report);
    if (ms <= 0) report(`timeouts.${field}`, "must be more than zero; leave it out for no limit");
    return ms;
  };
  const queueWaitMs = positive(message.queueWait, "queue_wait");
  const runMs = positive(message.run, "run");
  checkPhaseNames(Object.keys(message.phases), "timeouts.phases", report);
  const phases = Object.entries(message.phases).map(
    ([phase, duration]) => [phase, positive(duration, `phases[${quoted(phase, 128)}]`) ?? 0] as const,
  );
  return {
    ...(queueWaitMs === undefined ? {} : { queueWaitMs }),
    ...(runMs === undefined ? {} : { runMs }),
    ...(phases.length === 0 ? {} : { phasesMs: Object.fromEntries(phases) }),
  };
}

/** Whole milliseconds of a duration, at most a year. */
export function milliseconds(duration: Duration, field: string, report: Report): number {
  const fault = durationFault(duration, MAX_WAIT_MS);
  if (fault !== undefined) report(field, fault);
  const ms = Number(duration.seconds) * 1_000 + duration.nanos / 1e6;
  // Whole ones: a fraction would not survive the way to the worker. A short wait does not become none.
  return Math.ceil(ms);
}
