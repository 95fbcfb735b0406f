/** Checks the options of a worker. */
import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { BUILD_ID, BUILD_ID_RULE, WORKER_ID } from "@muster/common/text/name-forms";
import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { Batches } from "../batching/batches.ts";
import { TaskContract } from "../contract/task-contract.ts";
import { compileIsolate, type IsolateSettings } from "../isolate/isolate-options.ts";
import type { Lifespan, TaskLifespan } from "../lifespan/lifespan.ts";
import type { Logger, LogLevel } from "../logging/logger.ts";
import { LOG_LEVELS } from "../logging/logger.ts";
import type { PayloadOptions, PayloadSettings } from "../payloads/payload-options.ts";
import type { StartupReporter } from "../run/startup.ts";
import type { ObjectStore } from "../storage/object-store.ts";
import { resolveArtifacts } from "./artifact-settings.ts";
import { type CompiledBackpressure, compileBackpressure } from "./backpressure.ts";
import type { Connection, ConnectionOptions, Environment } from "./connection-options.ts";
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
import { resolveScratch, type ScratchSettings } from "./scratch-options.ts";
import { resolveTaskLogs, type TaskLogSettings } from "./task-log-options.ts";
import {
  type AdaptiveConcurrency,
  type CompiledAdaptive,
  concurrencyFaults,
  defaultSlots,
  limitsOf,
  MAX_ADAPTIVE_TYPES,
} from "./task-types/adaptive-concurrency.ts";
import type { FailureClassification } from "./task-types/failure-classification.ts";
import { type AnyPhaseDeclarations, phaseFaults } from "./task-types/phase-declarations.ts";
import type { AnyHandler, TaskDefinitions } from "./task-types/task-definition.ts";
import type { FatalInfo, WorkerOptions } from "./worker-options.ts";

/** A task type ready to run. */
export interface CompiledTask {
  readonly type: string;
  readonly input: StandardSchemaV1 | undefined;
  readonly output: StandardSchemaV1 | undefined;
  /** 0 means as many as the worker has slots. Of one that adapts: its upper bound. */
  readonly concurrency: number;
  /** Set when the concurrency adapts. */
  readonly adaptive?: CompiledAdaptive | undefined;
  /** True for a definition with a type: its result is sent as the handler returned it, and its schema checks that form. */
  readonly contract: boolean;
  readonly handler: AnyHandler;
  /** Declared phases. */
  readonly phases?: AnyPhaseDeclarations | undefined;
  /** Of a type whose handler runs batches; `handler` is then `batches.join`, and what surrounds it. */
  readonly batches?: Batches;
  /** Set when its handler runs in a process of its own. */
  readonly isolate?: IsolateSettings | undefined;
}

/** Where probes and metrics are served, checked. */
export interface HttpSettings {
  readonly host: string;
  readonly port: number;
  readonly blockedLimitMs: number;
}

/** Every option with its effective value. */
export interface CompiledOptions {
  readonly connection: Connection;
  /** The options of the connection as they were given, for a client of the worker's own. */
  readonly clientOptions: ConnectionOptions & { readonly payloads?: PayloadOptions };
  readonly tasks: Map<string, CompiledTask>;
  readonly id: string;
  readonly pool: string;
  /** Empty for none. */
  readonly buildId: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly queues: readonly string[];
  readonly concurrency: number;
  /** The slots were set by the option or the variable. */
  readonly concurrencyGiven: boolean;
  readonly prefetch: number;
  readonly capacities: Readonly<Record<string, number>>;
  /** 0 for the default, which depends on the memory. */
  readonly assignmentBytes: number;
  readonly resources: readonly string[];
  readonly scratch: ScratchSettings;
  /** Undefined: what handlers log is not kept. */
  readonly taskLogs: TaskLogSettings | undefined;
  readonly artifacts: ObjectStore | undefined;
  readonly payloads: PayloadSettings | undefined;
  readonly lifespan: Lifespan<unknown> | undefined;
  readonly taskLifespan: TaskLifespan<unknown, unknown> | undefined;
  readonly preflight: ((startup: StartupReporter) => unknown) | undefined;
  readonly registerTimeoutS: number;
  readonly drainTimeoutS: number;
  /** Thresholds that the author or the environment set; they win over the scheduler's. */
  readonly warnS: ReadonlyMap<string, number>;
  readonly classify: ((error: unknown) => FailureClassification | undefined) | undefined;
  readonly logger: Logger | undefined;
  readonly logLevel: LogLevel;
  readonly onFatal: ((fatal: FatalInfo) => void) | undefined;
  readonly http: HttpSettings | undefined;
  readonly backpressure: CompiledBackpressure | undefined;
  readonly stacks: boolean;
  /** Id that a launcher gave this process (`MUSTER_LAUNCH_ID`), or empty. */
  readonly launchId: string;
}

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

const TASK_NAMES: OptionNames<AnyDefinition> = {
  input: true,
  output: true,
  concurrency: true,
  phases: true,
  handler: true,
  isolate: true,
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

/** A definition whose types no longer matter. */
interface AnyDefinition {
  readonly input?: StandardSchemaV1;
  readonly output?: StandardSchemaV1;
  readonly concurrency?: number | AdaptiveConcurrency<never>;
  readonly phases?: AnyPhaseDeclarations;
  readonly handler: AnyHandler;
  readonly isolate?: unknown;
}

function compileTasks<Inputs, Services, TaskServices>(
  tasks: TaskDefinitions<Inputs, Services, TaskServices> | undefined,
  slots: number,
  faults: string[],
): Map<string, CompiledTask> {
  const compiled = new Map<string, CompiledTask>();
  const types = Object.keys(tasks ?? {});
  if (tasks !== undefined && types.length === 0)
    faults.push("option tasks: is empty; register at least one task type");
  if (types.length > 1000) faults.push(`option tasks: ${types.length} types; at most 1000`);
  checkNames("tasks", types, faults);
  const adaptive = Object.values(tasks ?? {}).filter(
    (task) => typeof concurrencyOf(task) === "object",
  ).length;
  if (adaptive > MAX_ADAPTIVE_TYPES)
    faults.push(`option tasks: the concurrency of ${adaptive} types adapts; at most ${MAX_ADAPTIVE_TYPES}`);
  for (const [type, definition] of Object.entries<AnyDefinition | AnyHandler>(tasks ?? {})) {
    const full: AnyDefinition = typeof definition === "function" ? { handler: definition } : definition;
    if (typeof full?.handler !== "function") {
      const remedy =
        definition instanceof TaskContract
          ? "is a definition with a type: call worker.handle(task, handler) for it"
          : "has no handler; give a function or { handler }";
      faults.push(`option tasks["${type}"]: ${remedy}`);
      continue;
    }
    if (full !== definition || !(definition instanceof TaskContract))
      faults.push(...unknownOptions(full, TASK_NAMES, `tasks["${type}"].`));
    const { input, output, concurrency, phases } = full;
    faults.push(...phaseFaults(phases).map((fault) => fault.replace("option ", `option tasks["${type}"].`)));
    for (const [name, schema] of Object.entries({ input, output })) {
      if (schema !== undefined && typeof schema["~standard"]?.validate !== "function") {
        faults.push(`option tasks["${type}"].${name}: is not a Standard Schema (zod, valibot, arktype, ...)`);
      }
    }
    // 0 was taken for "as many as the slots" before.
    if (concurrency !== 0)
      faults.push(...concurrencyFaults(concurrency).map((fault) => `option tasks["${type}"].${fault}`));
    const { handler } = full;
    const limits = limitsOf(concurrency, slots);
    const isolateFaults: string[] = [];
    const isolate = compileIsolate(full.isolate, concurrency, isolateFaults);
    faults.push(...isolateFaults.map((fault) => `option tasks["${type}"].${fault}`));
    compiled.set(type, { type, input, output, ...limits, contract: false, handler, phases, isolate });
  }
  return compiled;
}

/** What a definition says of its concurrency, whatever that is. */
function concurrencyOf(definition: unknown): unknown {
  return typeof definition === "function" ? undefined : Object(definition).concurrency;
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
