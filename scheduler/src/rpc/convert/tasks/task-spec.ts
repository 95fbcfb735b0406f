// A task that a producer submits, checked.

import { NAME, NAME_RULE } from "@muster/common/text/name-forms";
import { quoted } from "@muster/common/text/text";
import type { TaskSpec } from "@muster/protocol";
import type { SizeLimits } from "../../../dispatch/limits.ts";
import { Refusal, type Violation } from "../../../domain/errors.ts";
import { parseBatchId } from "../../../domain/tasks/batch.ts";
import type { NewTask } from "../../../domain/tasks/task.ts";
import { toTaskCost } from "../values/amounts.ts";
import { storable } from "../values/text.ts";
import { timestampFault } from "../values/time.ts";
import { toAfter } from "./dependencies.ts";
import { toFairness } from "./fairness.ts";
import { toCircuit } from "./limits/circuit.ts";
import { toConcurrency } from "./limits/concurrency.ts";
import { toRateLimits } from "./limits/rate-limits.ts";
import { milliseconds, type Report, toTaskOptions } from "./options.ts";
import { toUniqueRule } from "./unique-rule.ts";

const MAX_HEADERS = 64;

const MAX_HEADER_BYTES = 8_192;

const MAX_KEY_BYTES = 512;

const MAX_CONTENT_TYPE = 256;

export const MAX_PRIORITY = 1_000;

const MAX_LABELS = 64;

const MAX_RESOURCES = 64;

/** Violations that are kept; more do not fit into an error, and are counted. */
const MAX_VIOLATIONS = 50;

/**
 * Valid tasks from what a producer sent.
 *
 * @param fieldOf The field of the request that a task stands in.
 * @throws Refusal `INVALID_TASK`, `PAYLOAD_TOO_LARGE` or `TOO_MANY_TASKS`, with every fault at once.
 */
export function toNewTasks(
  specs: readonly TaskSpec[],
  limits: SizeLimits,
  fieldOf = (index: number) => `tasks[${index}]`,
): NewTask[] {
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
        violations.push({ field: `${fieldOf(index)}.${field}`, description });
    };
    tooLarge ||= spec.payload.byteLength > limits.maxPayloadBytes;
    return toTask(spec, index, limits, report);
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

/**
 * A task of which every fault is reported; it is valid when there was none.
 *
 * @param index Its place among those that are submitted with it.
 */
export function toTask(spec: TaskSpec, index: number, limits: SizeLimits, report: Report): NewTask {
  const { byteLength } = spec.payload;
  if (byteLength > limits.maxPayloadBytes)
    report(
      "payload",
      `has ${byteLength} bytes; at most ${limits.maxPayloadBytes} are allowed: store it elsewhere and submit a reference`,
    );
  return toNewTask(spec, index, report);
}

function toNewTask(spec: TaskSpec, index: number, report: Report): NewTask {
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
  const after = toAfter(spec.after, index, report);
  const given = spec.requirements?.cost;
  const cost = given && toTaskCost(given, "requirements.cost", report);
  return {
    queue,
    type: spec.taskType,
    requirements: { labels, resources, ...(cost ? { cost } : {}) },
    payload: spec.payload,
    contentType: storable(spec.contentType, MAX_CONTENT_TYPE) || "application/json",
    headers: Object.keys(spec.headers).length > 0 ? spec.headers : undefined,
    priority: spec.priority,
    ...schedule(spec, report),
    uniqueKey: spec.uniqueKey || undefined,
    ...uniqueness(spec, report),
    ...(after ? { after } : {}),
    ...batch(spec.batchId, report),
    rateLimits: toRateLimits(spec.rateLimits, report),
    ...toCircuit(
      spec.circuit,
      { type: spec.taskType, concurrency: toConcurrency(spec.concurrency, spec.priority, report) },
      report,
    ),
    fairness: toFairness(spec.fairness, report),
  };
}

/** The options, with the rule of its unique key where that is not the default. */
function uniqueness(spec: TaskSpec, report: Report): Pick<NewTask, "onConflict" | "options"> {
  const options = toTaskOptions(spec, report);
  if (spec.uniqueRule === undefined) return { options };
  const { unique, onConflict } = toUniqueRule(spec.uniqueRule, report);
  if (onConflict === "replace" && spec.after.length > 0)
    report(
      "after",
      "is set together with on_conflict REPLACE; a replaced task waits for the tasks that it waited for",
    );
  if (spec.uniqueKey === "") report("unique_rule", "is set without a key; give unique_key, too");
  return { options: unique ? { ...options, unique } : options, ...(onConflict ? { onConflict } : {}) };
}

function batch(text: string, report: Report): Pick<NewTask, "batchId"> {
  if (text === "") return {};
  const batchId = parseBatchId(text);
  if (batchId === undefined) report("batch_id", `${quoted(text, 40)} is no batch id; ids look like b-1042`);
  return { batchId };
}

/** When it may start; unset for now. */
export function schedule(
  spec: Pick<TaskSpec, "schedule">,
  report: Report,
): Pick<NewTask, "delayMs" | "runAtMs"> {
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
      // A time in the past means now; PostgreSQL has no moments before 4713 BC.
      return { delayMs: undefined, runAtMs: Math.max(0, at) };
    }
    default:
      return { delayMs: undefined, runAtMs: undefined };
  }
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
