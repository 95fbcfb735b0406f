import type { Duration } from "@bufbuild/protobuf/wkt";
import { quoted } from "@muster/common/text";
import type {
  RetryPolicy as RetryPolicyMessage,
  TaskSpec,
  TaskTimeouts,
  TaskWatchdogs as TaskWatchdogsMessage,
} from "@muster/protocol";
import type { SizeLimits } from "../../dispatch/limits.ts";
import { Refusal, type Violation } from "../../domain/errors.ts";
import { type Backoff, DEFAULT_RETRY_POLICY, type RetryPolicy } from "../../domain/tasks/retry.ts";
import type { NewTask, TaskOptions, Timeouts } from "../../domain/tasks/task.ts";
import type { TaskWatchdogs } from "../../domain/tasks/watchdog.ts";
import { storable } from "./text.ts";
import { durationFault, timestampFault } from "./time.ts";

/** Form of task types and queue names. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$/;
const NAME_RULE = "must start with a letter or digit and hold at most 128 of A-Z a-z 0-9 . _ : / -";
const MAX_HEADERS = 64;
const MAX_HEADER_BYTES = 8_192;
const MAX_KEY_BYTES = 512;
const MAX_CONTENT_TYPE = 256;
const MAX_PRIORITY = 1_000;
const MAX_RETRIES = 1_000;
const MAX_LABELS = 64;
const MAX_RESOURCES = 64;
/** A year: longer waits are taken for mistakes in the unit. */
const MAX_WAIT_MS = 366 * 24 * 3_600_000;
/** Violations that are kept; more do not fit into an error, and are counted. */
const MAX_VIOLATIONS = 50;

type Report = (field: string, description: string) => void;

/**
 * Valid tasks from what a producer sent.
 *
 * @throws Refusal `INVALID_TASK`, `PAYLOAD_TOO_LARGE` or `TOO_MANY_TASKS`, with every fault at once.
 */
export function toNewTasks(specs: readonly TaskSpec[], limits: SizeLimits): NewTask[] {
  if (specs.length === 0) {
    throw new Refusal("invalid", "INVALID_TASK", "tasks is empty; submit at least one", {
      violations: [{ field: "tasks", description: "is empty; submit at least one" }],
    });
  }
  if (specs.length > limits.maxTasksPerSubmit) {
    throw new Refusal(
      "invalid",
      "TOO_MANY_TASKS",
      `${specs.length} tasks in one submit; at most ${limits.maxTasksPerSubmit} are allowed: split the call`,
    );
  }
  const violations: Violation[] = [];
  let violationCount = 0;
  let tooLarge = false;
  const tasks = specs.map((spec, index) => {
    const report: Report = (field, description) => {
      violationCount += 1;
      if (violations.length < MAX_VIOLATIONS)
        violations.push({ field: `tasks[${index}].${field}`, description });
    };
    if (spec.payload.byteLength > limits.maxPayloadBytes) {
      tooLarge = true;
      report(
        "payload",
        `has ${spec.payload.byteLength} bytes; at most ${limits.maxPayloadBytes} are allowed: store it elsewhere and submit a reference`,
      );
    }
    return toNewTask(spec, report);
  });
  const first = violations[0];
  if (first) {
    const more = violationCount > 1 ? ` (and ${violationCount - 1} more)` : "";
    throw new Refusal(
      "invalid",
      tooLarge ? "PAYLOAD_TOO_LARGE" : "INVALID_TASK",
      `${first.field} ${first.description}${more}`,
      { violations, violationCount },
    );
  }
  return tasks;
}

function toNewTask(spec: TaskSpec, report: Report): NewTask {
  const queue = spec.queue || "default";
  checkName(spec.taskType, "task_type", report);
  checkName(queue, "queue", report);
  if (Math.abs(spec.priority) > MAX_PRIORITY) {
    report("priority", `${spec.priority} is not between -${MAX_PRIORITY} and ${MAX_PRIORITY}`);
  }
  if (Buffer.byteLength(spec.uniqueKey) > MAX_KEY_BYTES) {
    report(
      "unique_key",
      `has ${Buffer.byteLength(spec.uniqueKey)} bytes; at most ${MAX_KEY_BYTES} are allowed`,
    );
  }
  if (spec.uniqueKey.includes("\0"))
    report("unique_key", "holds a NUL character, which Postgres cannot store");
  checkHeaders(spec.headers, report);
  const labels = spec.requirements?.labels ?? {};
  if (Object.keys(labels).length > MAX_LABELS) {
    report(
      "requirements.labels",
      `has ${Object.keys(labels).length} entries; at most ${MAX_LABELS} are allowed`,
    );
  }
  const resources = [...new Set(spec.requirements?.resources ?? [])];
  if (resources.length > MAX_RESOURCES) {
    report("requirements.resources", `has ${resources.length} entries; at most ${MAX_RESOURCES} are allowed`);
  }
  for (const [field, texts] of [
    ["requirements.resources", resources],
    ["requirements.labels", Object.entries(labels).flat()],
  ] as const) {
    for (const text of texts) {
      if (text === "" || text.length > 256 || text.includes("\0"))
        report(field, `${quoted(text, 40)} must have 1 to 256 characters and no NUL`);
    }
  }
  return {
    queue,
    type: spec.taskType,
    requirements: { labels, resources },
    payload: spec.payload,
    contentType: storable(spec.contentType, MAX_CONTENT_TYPE) || "application/json",
    headers: Object.keys(spec.headers).length > 0 ? spec.headers : undefined,
    priority: spec.priority,
    ...schedule(spec, report),
    uniqueKey: spec.uniqueKey || undefined,
    options: options(spec, report),
  };
}

function schedule(spec: TaskSpec, report: Report): Pick<NewTask, "delayMs" | "runAtMs"> {
  switch (spec.schedule.case) {
    case "delay": {
      const delayMs = milliseconds(spec.schedule.value, "delay", report);
      return { delayMs: delayMs === 0 ? undefined : delayMs, runAtMs: undefined };
    }
    case "runTime": {
      const { value } = spec.schedule;
      const fault = timestampFault(value);
      if (fault !== undefined) report("run_time", fault);
      const at = Number(value.seconds) * 1_000 + value.nanos / 1e6;
      // What has passed means now; Postgres knows no moments before 4713 BC.
      return { delayMs: undefined, runAtMs: Math.max(0, at) };
    }
    default:
      return { delayMs: undefined, runAtMs: undefined };
  }
}

function options(spec: TaskSpec, report: Report): TaskOptions | undefined {
  const retry = spec.retryPolicy && toRetryPolicy(spec.retryPolicy, report);
  const timeouts = spec.timeouts && toTimeouts(spec.timeouts, report);
  const watchdogs = spec.watchdogs && toWatchdogs(spec.watchdogs, report);
  if (!retry && !timeouts && !watchdogs) return undefined;
  return {
    ...(retry ? { retry } : {}),
    ...(timeouts ? { timeouts } : {}),
    ...(watchdogs ? { watchdogs } : {}),
  };
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

function toRetryPolicy(message: RetryPolicyMessage, report: Report): RetryPolicy {
  const maxRetries = message.maxRetryCount ?? DEFAULT_RETRY_POLICY.maxRetries;
  const maxOutOfMemory = message.maxOutOfMemoryCount ?? DEFAULT_RETRY_POLICY.maxOutOfMemory;
  for (const [field, value] of [
    ["max_retry_count", maxRetries],
    ["max_out_of_memory_count", maxOutOfMemory],
  ] as const) {
    if (value < 0 || value > MAX_RETRIES)
      report(`retry_policy.${field}`, `${value} is not between 0 and ${MAX_RETRIES}`);
  }
  return { maxRetries, backoff: toBackoff(message, report), maxOutOfMemory };
}

function toBackoff({ backoff }: RetryPolicyMessage, report: Report): Backoff {
  switch (backoff.case) {
    case "fixed": {
      const { delays } = backoff.value;
      if (delays.length === 0 || delays.length > 100) {
        report("retry_policy.fixed.delays", `has ${delays.length} entries; 1 to 100 are allowed`);
      }
      const delaysMs = delays.map((delay, index) =>
        milliseconds(delay, `retry_policy.fixed.delays[${index}]`, report),
      );
      return { kind: "fixed", delaysMs };
    }
    case "exponential": {
      const { initialDelay, factor, maxDelay, jitter } = backoff.value;
      const at = "retry_policy.exponential";
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
      return DEFAULT_RETRY_POLICY.backoff;
  }
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

function milliseconds(duration: Duration, field: string, report: Report): number {
  const fault = durationFault(duration, MAX_WAIT_MS);
  if (fault !== undefined) report(field, fault);
  const ms = Number(duration.seconds) * 1_000 + duration.nanos / 1e6;
  // Whole ones: a fraction would not survive the way to the worker. A short wait does not become none.
  return Math.ceil(ms);
}

function checkName(value: string, field: string, report: Report): void {
  if (!NAME.test(value)) report(field, `${quoted(value, 140)} ${NAME_RULE}`);
}

function checkHeaders(headers: Readonly<Record<string, string>>, report: Report): void {
  const entries = Object.entries(headers);
  if (entries.length > MAX_HEADERS)
    report("headers", `has ${entries.length} entries; at most ${MAX_HEADERS} are allowed`);
  const bytes = entries.reduce(
    (sum, [name, value]) => sum + Buffer.byteLength(name) + Buffer.byteLength(value),
    0,
  );
  if (bytes > MAX_HEADER_BYTES)
    report("headers", `have ${bytes} bytes; at most ${MAX_HEADER_BYTES} are allowed`);
  if (entries.flat().some((text) => text.includes("\0")))
    report("headers", "hold a NUL character, which Postgres cannot store");
}
