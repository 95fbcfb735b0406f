/** Checks the options of a worker. */
import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { BUILD_ID, BUILD_ID_RULE, WORKER_ID } from "@muster/common/text/name-forms";
import type { TaskLifespan } from "../lifespan/lifespan.ts";
import type { LogLevel } from "../logging/logger.ts";
import { LOG_LEVELS } from "../logging/logger.ts";
import { resolveArtifacts } from "./artifact-settings.ts";
import { compileBackpressure } from "./backpressure.ts";
import type { CompiledOptions, HttpSettings } from "./compiled-options.ts";
import type { Environment } from "./connection-options.ts";
import { processEnvironment, resolveConnection } from "./connection-options.ts";
import { type OptionNames, unknownOptions } from "./known-options.ts";
import {
  checkCapacities,
  checkLabels,
  checkNames,
  listenAddress,
  numberSetting,
  switchSetting,
} from "./option-checks.ts";
import { OptionsError } from "./options-error.ts";
import { resolvePayloads } from "./payload-settings.ts";
import { resolveScratch } from "./scratch-options.ts";
import { resolveTaskLogs } from "./task-log-options.ts";
import { defaultSlots } from "./task-types/adaptive-concurrency.ts";
import { type AnyDefinition, compileTasks, concurrencyOf } from "./task-types/compile-tasks.ts";
import type { AnyHandler } from "./task-types/task-definition.ts";
import type { WorkerOptions } from "./worker-options.ts";

/** Thresholds of the phase watchdog in seconds, where no option, variable, task or scheduler sets one. */
export const DEFAULT_WARN_S: ReadonlyMap<string, number> = new Map([
  ["model_resolve", 30],
  ["model_load", 60],
  ["inference", 60],
]);

const NAMES: OptionNames<WorkerOptions> = {
  scheduler: true,
  token: true,
  tls: true,
  tasks: true,
  lifespan: true,
  taskLifespan: true,
  id: true,
  pool: true,
  buildId: true,
  labels: true,
  queues: true,
  concurrency: true,
  prefetch: true,
  assignmentBytes: true,
  capacities: true,
  backpressure: true,
  resources: true,
  scratch: true,
  taskLogs: true,
  artifacts: true,
  payloads: true,
  preflight: true,
  registerTimeoutS: true,
  drainTimeoutS: true,
  warn: true,
  classify: true,
  logger: true,
  logLevel: true,
  http: true,
  httpBlockedLimitS: true,
  stacks: true,
  onFatal: true,
};

/** Checks every option. @throws OptionsError with every fault at once. */
export function compileOptions<Inputs, Services, TaskServices>(
  options: WorkerOptions<Inputs, Services, TaskServices>,
  env: Environment = processEnvironment,
): CompiledOptions {
  if (typeof options !== "object" || options === null)
    throw new OptionsError("Worker", [
      `the options: are ${String(options)}; give an object, for example { tasks }`,
    ]);
  const faults: string[] = [...unknownOptions(options, NAMES)];
  const queues = listOption("queues", options.queues, ["default"], faults);
  checkNames("queues", queues, faults);
  if (queues.length === 0) faults.push("option queues: is empty; name at least one, for example default");
  checkLabels(options.labels ?? {}, faults);
  checkCapacities(options.capacities ?? {}, faults);
  const concurrency = numberSetting(
    {
      option: ["concurrency", options.concurrency],
      variable: "WORKER_MAX_CONCURRENCY",
      default: defaultSlots(
        Object.values<AnyDefinition | AnyHandler>(options.tasks ?? {}).map(concurrencyOf),
      ),
    },
    { min: 1, max: 10_000, integer: true },
    env,
    faults,
  );
  const compiled: CompiledOptions = {
    connection: resolveConnection(options, env, faults),
    clientOptions: clientOptionsOf(options),
    tasks: compileTasks(options.tasks, concurrency, faults),
    id: resolveId(options.id, env, faults),
    pool: options.pool ?? env.MUSTER_POOL ?? "",
    buildId: resolveBuildId(options.buildId, env, faults),
    labels: { ...options.labels },
    queues: [...queues],
    concurrency,
    concurrencyGiven: options.concurrency !== undefined || Boolean(env.WORKER_MAX_CONCURRENCY?.trim()),
    prefetch: numberSetting(
      { option: ["prefetch", options.prefetch], default: 0 },
      { min: 0, max: 10_000, integer: true },
      env,
      faults,
    ),
    capacities: { ...options.capacities },
    assignmentBytes: numberSetting(
      { option: ["assignmentBytes", options.assignmentBytes], default: 0 },
      { min: options.assignmentBytes === undefined ? 0 : 1, max: 1_000_000_000_000, integer: true },
      env,
      faults,
    ),
    resources: [...listOption("resources", options.resources, [], faults)],
    scratch: resolveScratch(options.scratch, options.id ?? (env.WORKER_ID || undefined), env, faults),
    taskLogs: resolveTaskLogs(options.taskLogs, env, faults),
    artifacts: resolveArtifacts(options.artifacts, env, faults),
    payloads: resolvePayloads(options.payloads, faults),
    lifespan: optionalFunction("lifespan", options.lifespan, faults),
    // Its context has the services of this worker's lifespan.
    taskLifespan: optionalFunction("taskLifespan", options.taskLifespan, faults) as
      | TaskLifespan<unknown, unknown>
      | undefined,
    preflight: options.preflight,
    registerTimeoutS: seconds("registerTimeoutS", options.registerTimeoutS, "WORKER_REGISTER_TIMEOUT_S", 90),
    drainTimeoutS: seconds("drainTimeoutS", options.drainTimeoutS, "WORKER_DRAIN_TIMEOUT_S", 30, 0),
    warnS: resolveWarnings(options.warn ?? {}, env, faults),
    classify: options.classify,
    logger: options.logger,
    logLevel: resolveLogLevel(options.logLevel, env, faults),
    onFatal: options.onFatal,
    http: resolveHttp(options.http, options.httpBlockedLimitS, env, faults),
    backpressure: compileBackpressure(options.backpressure, faults),
    stacks: switchSetting(
      { option: ["stacks", options.stacks], variable: "WORKER_STACKS", default: true },
      env,
      faults,
    ),
    launchId: env.MUSTER_LAUNCH_ID ?? "",
  };
  if (faults.length > 0) throw new OptionsError("Worker", faults);
  return Object.freeze(compiled);

  function seconds(
    name: string,
    option: number | undefined,
    variable: string,
    fallback: number,
    min = 0.001,
  ): number {
    return numberSetting(
      { option: [name, option], variable, default: fallback },
      { min, max: 2_000_000 },
      env,
      faults,
    );
  }
}

/** A text is no list, although it has a length. */
function listOption(
  option: string,
  value: readonly string[] | undefined,
  fallback: readonly string[],
  faults: string[],
): readonly string[] {
  if (value === undefined || Array.isArray(value)) return value ?? fallback;
  faults.push(
    `option ${option}: is ${JSON.stringify(value)}; give a list, for example ["${fallback[0] ?? "name"}"]`,
  );
  return fallback;
}

function optionalFunction<F>(option: string, value: F | undefined, faults: string[]): F | undefined {
  if (value !== undefined && typeof value !== "function")
    faults.push(`option ${option}: is ${value === null ? "null" : typeof value}; give a function`);
  return value;
}

function resolveId(option: string | undefined, env: Environment, faults: string[]): string {
  const id = option ?? (env.WORKER_ID || undefined);
  if (id === undefined) {
    const host = hostname()
      .replaceAll(/[^A-Za-z0-9._-]/g, "-")
      .replace(/^[^A-Za-z0-9]+/, "");
    return `${host.slice(0, 80) || "worker"}-${process.pid}-${randomBytes(3).toString("hex")}`;
  }
  if (!WORKER_ID.test(id)) {
    const source = option !== undefined ? "option id" : "WORKER_ID";
    faults.push(`${source}: "${id}" must match ${WORKER_ID.source}`);
  }
  return id;
}

function resolveBuildId(option: string | undefined, env: Environment, faults: string[]): string {
  const buildId = option ?? env.MUSTER_BUILD_ID?.trim() ?? "";
  if (option === undefined && buildId === "") return "";
  if (typeof buildId === "string" && BUILD_ID.test(buildId)) return buildId;
  faults.push(
    `${option === undefined ? "MUSTER_BUILD_ID" : "option buildId"}: ${JSON.stringify(buildId)} ${BUILD_ID_RULE}`,
  );
  return "";
}

function resolveWarnings(
  option: Readonly<Record<string, number>>,
  env: Environment,
  faults: string[],
): ReadonlyMap<string, number> {
  const warnings = new Map<string, number>();
  for (const phase of new Set([...Object.keys(option), ...DEFAULT_WARN_S.keys()])) {
    const variable = DEFAULT_WARN_S.has(phase) ? `WORKER_WARN_${phase.toUpperCase()}_S` : undefined;
    if (option[phase] === undefined && (variable === undefined || !env[variable])) continue;
    const source = { option: [`warn.${phase}`, option[phase]] as const, variable, default: 0 };
    warnings.set(phase, numberSetting(source, { min: 0.001, max: 2_000_000 }, env, faults));
  }
  return warnings;
}

function resolveHttp(
  option: string | undefined,
  blockedLimitS: number | undefined,
  env: Environment,
  faults: string[],
): HttpSettings | undefined {
  const limit = numberSetting(
    {
      option: ["httpBlockedLimitS", blockedLimitS],
      variable: "WORKER_HTTP_BLOCKED_LIMIT_S",
      default: 3_600,
    },
    { min: 0, max: 2_000_000 },
    env,
    faults,
  );
  const text = option ?? (env.WORKER_HTTP_ADDR || undefined);
  if (text === undefined) return undefined;
  const source = option === undefined ? "WORKER_HTTP_ADDR" : "option http";
  const address = listenAddress(source, text, faults);
  return address && { ...address, blockedLimitMs: limit * 1_000 };
}

function resolveLogLevel(option: LogLevel | undefined, env: Environment, faults: string[]): LogLevel {
  const value = option ?? (env.WORKER_LOG_LEVEL || "info");
  const level = LOG_LEVELS.find((known) => known === value);
  if (level !== undefined) return level;
  const source = option !== undefined ? "option logLevel" : "WORKER_LOG_LEVEL";
  faults.push(`${source}: "${value}" is not one of ${LOG_LEVELS.join(", ")}`);
  return "info";
}

function clientOptionsOf({
  scheduler,
  token,
  tls,
  payloads,
}: CompiledOptions["clientOptions"]): CompiledOptions["clientOptions"] {
  return {
    ...(scheduler === undefined ? {} : { scheduler }),
    ...(token === undefined ? {} : { token }),
    ...(tls === undefined ? {} : { tls }),
    ...(payloads === undefined ? {} : { payloads }),
  };
}
