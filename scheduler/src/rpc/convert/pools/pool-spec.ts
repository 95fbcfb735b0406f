/** The spec of a pool that a caller sets, checked as a whole. */
import { BUILD_ID, BUILD_ID_RULE, NAME, NAME_RULE } from "@muster/common/text/name-forms";
import { quoted } from "@muster/common/text/text";
import {
  type LaunchGuardRule,
  type LaunchTemplate,
  type PoolOffer,
  type PoolSpec,
  RolloutFailureAction,
  type RolloutRule,
  type ScaleRule,
  type ScheduledMinimum,
} from "@muster/protocol";
import type { Violation } from "../../../domain/errors.ts";
import { MAX_AMOUNT, SLOTS } from "../../../domain/matching/capacity.ts";
import { DEFAULT_MAX_UNACCEPTED, type GuardRule } from "../../../domain/pools/guard.ts";
import type * as domain from "../../../domain/pools/pool.ts";
import { POOL_NAME, POOL_NAME_RULE } from "../../../domain/pools/pool.ts";
import { buildOf } from "../../../domain/pools/rollout.ts";
import { DEFAULT_ROLLOUT } from "../../../domain/pools/rollout-record.ts";
import { invalidRequest } from "../../../domain/refusals.ts";
import { CronTimes } from "../../../domain/schedules/cron.ts";
import { isTimeZone } from "../../../domain/schedules/time-zone.ts";
import { isStorable } from "../values/text.ts";
import { checkSize, length, MAX_NAMES } from "./checks.ts";
import type { Report } from "./drivers/driver.ts";
import { toSettings } from "./drivers/drivers.ts";

const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

const MAX_WORKERS = 10_000;
const MAX_STARTING = 1_000;
const MAX_SURGE = 1_000;
const MAX_LABELS = 64;
const MAX_CAPACITIES = 32;
const MAX_MINIMUMS = 20;
const MAX_SECRETS = 100;
const MAX_SLOTS = 10_000;
const MAX_SAMPLES = 100;
const MAX_LABEL = 256;
const MAX_PATH = 4_096;
const MAX_EXPRESSION = 256;
const MAX_ZONE = 64;

/** Violations that are reported. */
const MAX_VIOLATIONS = 50;

/** Form of the name of a variable. */
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]{0,255}$/;
const VARIABLE_RULE =
  "is no name of a variable: it has at most 256 of A-Z a-z 0-9 _ and does not begin with a digit";

/** Variables that the launcher sets. */
const RESERVED: ReadonlySet<string> = new Set([
  "MUSTER_LAUNCH_ID",
  "MUSTER_POOL",
  "WORKER_ID",
  "MUSTER_SUPERVISOR_PID",
]);

/**
 * A valid spec from what a caller sent.
 *
 * @throws Refusal `INVALID_REQUEST`, with every fault at once.
 */
export function toPoolSpec(spec: PoolSpec | undefined): domain.PoolSpec {
  if (!spec) throw invalidRequest({ field: "spec", description: "is required" });
  const violations: Violation[] = [];
  const report: Report = (field, description) => {
    if (violations.length < MAX_VIOLATIONS) violations.push({ field: `spec.${field}`, description });
  };
  if (!POOL_NAME.test(spec.name))
    report("name", `${quoted(spec.name, 100)} is no name of a pool: it ${POOL_NAME_RULE}`);
  const { minWorkers, maxWorkers } = spec;
  checkBounds(minWorkers, maxWorkers, report);
  const startupTimeoutMs = length(
    spec.startupTimeout,
    SECOND_MS,
    DAY_MS,
    5 * MINUTE_MS,
    "startup_timeout",
    report,
  );
  const checked: domain.PoolSpec = {
    name: spec.name,
    offer: toOffer(spec.offer, report),
    minWorkers,
    maxWorkers,
    maxStarting: count(spec.maxStarting, 1, MAX_STARTING, 10, "max_starting", report),
    scheduledMinimums: toMinimums(spec.scheduledMinimums, maxWorkers, report),
    startupTimeoutMs,
    idleTimeoutMs: length(spec.idleTimeout, 0, DAY_MS, 5 * MINUTE_MS, "idle_timeout", report),
    drainTimeoutMs: length(spec.drainTimeout, SECOND_MS, 7 * DAY_MS, 10 * MINUTE_MS, "drain_timeout", report),
    scale: toScale(spec.scale, report),
    guard: toGuard(spec.launchGuard, startupTimeoutMs, report),
    rollout: toRollout(spec.rollout, report),
    template: toTemplate(spec.launchTemplate, report),
  };
  const [first, ...further] = violations;
  if (first) throw invalidRequest(first, ...further);
  return checked;
}

/** Reports what is wrong with the bounds of a pool. */
export function checkBounds(minWorkers: number, maxWorkers: number, report: Report): void {
  if (minWorkers < 0 || minWorkers > MAX_WORKERS)
    report("min_workers", `${minWorkers} is not between 0 and ${MAX_WORKERS}`);
  if (maxWorkers < 1 || maxWorkers > MAX_WORKERS)
    report("max_workers", `${maxWorkers} is not between 1 and ${MAX_WORKERS}`);
  else if (maxWorkers < minWorkers)
    report("max_workers", `${maxWorkers} is below min_workers, which is ${minWorkers}`);
}

function toOffer(offer: PoolOffer | undefined, report: Report): domain.PoolOffer {
  if (!offer) {
    report("offer", "is required: the task types that its workers run decide what counts for the pool");
    return { types: [], queues: [], labels: {}, resources: [], capacities: {}, slots: 1 };
  }
  if (offer.taskTypes.length === 0)
    report("offer.task_types", "is empty: name the task types that its workers run");
  return {
    types: names(offer.taskTypes, "offer.task_types", report),
    queues: offer.queues.length === 0 ? ["default"] : names(offer.queues, "offer.queues", report),
    labels: toLabels(offer.labels, report),
    resources: texts(offer.resources, "offer.resources", report),
    capacities: toCapacities(offer.capacities, report),
    slots: count(offer.slots, 1, MAX_SLOTS, 1, "offer.slots", report),
  };
}

function toLabels(labels: Readonly<Record<string, string>>, report: Report): Record<string, string> {
  const entries = Object.entries(labels);
  if (entries.length > MAX_LABELS)
    report("offer.labels", `has ${entries.length} labels; at most ${MAX_LABELS} are allowed`);
  for (const [name, value] of entries) {
    if (name === "" || name.length > MAX_LABEL || value.length > MAX_LABEL || !isStorable(`${name}${value}`))
      report(
        "offer.labels",
        `${quoted(name, 100)}: a name has 1 to ${MAX_LABEL} characters, a value at most as many, and neither holds NUL`,
      );
  }
  return Object.fromEntries(entries);
}

function toCapacities(capacities: Readonly<Record<string, bigint>>, report: Report): Record<string, number> {
  const entries = Object.entries(capacities);
  if (entries.length > MAX_CAPACITIES)
    report("offer.capacities", `has ${entries.length} capacities; at most ${MAX_CAPACITIES} are allowed`);
  for (const [name, amount] of entries) {
    const field = `offer.capacities[${JSON.stringify(name.slice(0, 100))}]`;
    if (!NAME.test(name)) report("offer.capacities", `${quoted(name, 100)} ${NAME_RULE}`);
    if (name === SLOTS) report(field, "is set in offer.slots");
    if (amount < 1n || amount > MAX_AMOUNT) report(field, `${amount} is not between 1 and ${MAX_AMOUNT}`);
  }
  return Object.fromEntries(entries.map(([name, amount]) => [name, Number(amount)]));
}

function toMinimums(
  minimums: readonly ScheduledMinimum[],
  maxWorkers: number,
  report: Report,
): domain.ScheduledMinimum[] {
  if (minimums.length > MAX_MINIMUMS)
    report("scheduled_minimums", `has ${minimums.length} entries; at most ${MAX_MINIMUMS} are allowed`);
  return minimums.slice(0, MAX_MINIMUMS).map(({ cron, timezone: given, duration, minWorkers }, index) => {
    const at = `scheduled_minimums[${index}]`;
    const timezone = given || "UTC";
    if (timezone.length > MAX_ZONE || !isTimeZone(timezone))
      report(
        `${at}.timezone`,
        `${quoted(timezone, 80)} is no name of the time zone database, for example Europe/Berlin`,
      );
    const fault = cronFault(cron);
    if (fault !== undefined) report(`${at}.cron`, fault);
    if (!duration)
      report(`${at}.duration`, "is required: for how long the minimum applies from each time on");
    if (minWorkers < 1 || minWorkers > maxWorkers)
      report(`${at}.min_workers`, `${minWorkers} is not between 1 and max_workers, which is ${maxWorkers}`);
    const durationMs = length(duration, MINUTE_MS, 7 * DAY_MS, MINUTE_MS, `${at}.duration`, report);
    return { cron, timezone, durationMs, minWorkers };
  });
}

function cronFault(expression: string): string | undefined {
  if (expression.length > MAX_EXPRESSION)
    return `has ${expression.length} characters; at most ${MAX_EXPRESSION} are allowed`;
  const form = "give minute, hour, day, month and day of the week, for example 0 8 * * MON-FRI";
  try {
    if (new CronTimes(expression, "UTC").nextAfter(0) !== undefined) return undefined;
    return `${quoted(expression, 80)} has no time: no day is like that`;
  } catch (error) {
    const why = error instanceof Error ? error.message.replace(/^CronPattern: /, "") : String(error);
    return `${quoted(expression, 80)} is no cron expression (${quoted(why, 120)}): ${form}`;
  }
}

function toScale(scale: ScaleRule | undefined, report: Report): domain.ScaleRule {
  return {
    stabilizationMs: length(scale?.stabilization, 0, HOUR_MS, MINUTE_MS, "scale.stabilization", report),
    minTaskAgeMs: length(scale?.minTaskAge, 0, DAY_MS, 0, "scale.min_task_age", report),
  };
}

function toGuard(guard: LaunchGuardRule | undefined, startupTimeoutMs: number, report: Report): GuardRule {
  const rate = guard?.failureRate ?? 0;
  if (!(rate >= 0 && rate <= 1))
    report("launch_guard.failure_rate", `${rate} is not above 0 and at most 1, or 0 for the default`);
  const firstBackoffMs = length(
    guard?.firstBackoff,
    SECOND_MS,
    DAY_MS,
    30 * SECOND_MS,
    "launch_guard.first_backoff",
    report,
  );
  const maxBackoffMs = length(
    guard?.maxBackoff,
    SECOND_MS,
    DAY_MS,
    Math.max(15 * MINUTE_MS, firstBackoffMs),
    "launch_guard.max_backoff",
    report,
  );
  if (maxBackoffMs < firstBackoffMs)
    report(
      "launch_guard.max_backoff",
      `${maxBackoffMs / 1_000} s is below first_backoff, which is ${firstBackoffMs / 1_000} s`,
    );
  // Starts that fail by their timeout must be able to meet in one window.
  const fallbackMs = Math.max(10 * MINUTE_MS, 2 * startupTimeoutMs);
  const windowMs = length(guard?.window, MINUTE_MS, 7 * DAY_MS, fallbackMs, "launch_guard.window", report);
  if (windowMs < startupTimeoutMs)
    report(
      "launch_guard.window",
      `${windowMs / 1_000} s is below startup_timeout, which is ${startupTimeoutMs / 1_000} s`,
    );
  return {
    windowMs,
    minSamples: count(guard?.minSamples ?? 0, 1, MAX_SAMPLES, 3, "launch_guard.min_samples", report),
    failureRate: rate || 0.5,
    firstBackoffMs,
    maxBackoffMs,
    maxUnaccepted: count(
      guard?.maxUnaccepted ?? 0,
      1,
      MAX_SAMPLES,
      DEFAULT_MAX_UNACCEPTED,
      "launch_guard.max_unaccepted",
      report,
    ),
  };
}

function toRollout(rule: RolloutRule | undefined, report: Report): domain.PoolSpec["rollout"] {
  const { maxSurge = DEFAULT_ROLLOUT.maxSurge, maxUnavailable = 0 } = rule ?? {};
  for (const [name, value] of Object.entries({ max_surge: maxSurge, max_unavailable: maxUnavailable })) {
    if (value < 0 || value > MAX_SURGE)
      report(`rollout.${name}`, `${value} is not between 0 and ${MAX_SURGE}`);
  }
  if (maxSurge === 0 && maxUnavailable === 0)
    report("rollout.max_unavailable", "is 0 like max_surge: then no worker could ever be replaced");
  const action = rule?.onFailure ?? RolloutFailureAction.UNSPECIFIED;
  if (!Object.values<number>(RolloutFailureAction).includes(action))
    report("rollout.on_failure", `${action} is no action that this scheduler knows: PAUSE or ROLL_BACK`);
  return {
    maxSurge,
    maxUnavailable,
    minReadyMs: length(rule?.minReady, 0, HOUR_MS, DEFAULT_ROLLOUT.minReadyMs, "rollout.min_ready", report),
    maxFailedLaunches: count(
      rule?.maxFailedLaunches ?? 0,
      1,
      MAX_STARTING,
      DEFAULT_ROLLOUT.maxFailedLaunches,
      "rollout.max_failed_launches",
      report,
    ),
    onFailure: action === RolloutFailureAction.ROLL_BACK ? "roll_back" : "pause",
  };
}

function toTemplate(template: LaunchTemplate | undefined, report: Report): domain.LaunchTemplate {
  // Never used: what is reported refuses the whole.
  const none = { driver: "process", directory: "" } as const;
  if (!template) {
    report("launch_template", "is required: how a worker is launched");
    return { command: [], env: {}, secrets: [], ...none };
  }
  const { command, env, secrets } = template;
  const settings = toSettings(template, report) ?? none;
  checkSize(command, "launch_template.command", report);
  const variables = Object.entries(env);
  if (variables.length > MAX_NAMES)
    report("launch_template.env", `has ${variables.length} variables; at most ${MAX_NAMES} are allowed`);
  checkSize(variables.flat(), "launch_template.env", report);
  for (const [name] of variables) variable(name, "launch_template.env", report);
  const build = buildOf({ env });
  if (build !== "" && !BUILD_ID.test(build))
    report("launch_template.env.MUSTER_BUILD_ID", `${quoted(build, 140)} ${BUILD_ID_RULE}`);
  return { command, env, secrets: toSecrets(secrets, env, report), ...settings };
}

function toSecrets(
  secrets: LaunchTemplate["secrets"],
  env: Readonly<Record<string, string>>,
  report: Report,
): domain.SecretVariable[] {
  if (secrets.length > MAX_SECRETS)
    report("launch_template.secrets", `has ${secrets.length} entries; at most ${MAX_SECRETS} are allowed`);
  const seen = new Set<string>();
  return secrets.slice(0, MAX_SECRETS).flatMap(({ name, source }, index): domain.SecretVariable[] => {
    const at = `launch_template.secrets[${index}]`;
    variable(name, `${at}.name`, report);
    if (name in env || seen.has(name)) report(`${at}.name`, `${quoted(name, 100)} is set twice`);
    seen.add(name);
    if (source.case === undefined) {
      report(at, "names no source: set `launcher_variable` or `launcher_file`");
      return [];
    }
    if (source.case === "launcherVariable") {
      if (!VARIABLE.test(source.value))
        report(`${at}.launcher_variable`, `${quoted(source.value, 100)} ${VARIABLE_RULE}`);
      return [{ name, source: "variable" as const, reference: source.value }];
    }
    if (source.value === "" || source.value.length > MAX_PATH || !isStorable(source.value))
      report(`${at}.launcher_file`, `is no path of 1 to ${MAX_PATH} characters without NUL`);
    return [{ name, source: "file" as const, reference: source.value }];
  });
}

function variable(name: string, field: string, report: Report): void {
  if (!VARIABLE.test(name)) report(field, `${quoted(name, 100)} ${VARIABLE_RULE}`);
  else if (RESERVED.has(name)) report(field, `${name} is set by the launcher`);
}

function names(given: readonly string[], field: string, report: Report): readonly string[] {
  if (given.length > MAX_NAMES)
    report(field, `has ${given.length} entries; at most ${MAX_NAMES} are allowed`);
  for (const name of given.slice(0, MAX_NAMES))
    if (!NAME.test(name)) report(field, `${quoted(name, 100)} ${NAME_RULE}`);
  return [...new Set(given)];
}

function texts(given: readonly string[], field: string, report: Report): readonly string[] {
  if (given.length > MAX_NAMES)
    report(field, `has ${given.length} entries; at most ${MAX_NAMES} are allowed`);
  for (const text of given.slice(0, MAX_NAMES)) {
    if (text === "" || text.length > MAX_LABEL || !isStorable(text))
      report(field, `${quoted(text, 100)} has not 1 to ${MAX_LABEL} characters without NUL`);
  }
  return [...new Set(given)];
}

/** A number of the range; 0 is the default. */
function count(
  given: number,
  min: number,
  max: number,
  fallback: number,
  field: string,
  report: Report,
): number {
  if (given !== 0 && (given < min || given > max))
    report(field, `${given} is not between ${min} and ${max}, or 0 for the default`);
  return given || fallback;
}
