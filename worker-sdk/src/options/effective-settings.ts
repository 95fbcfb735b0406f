/** The settings that a worker runs with, and where each comes from. */

import type { CompiledOptions } from "./compiled-options.ts";
import type { Environment } from "./connection-options.ts";
import type { EffectiveSetting } from "./effective-setting.ts";
import { DEFAULT_WARN_S } from "./options.ts";
import type { WorkerOptions } from "./worker-options.ts";

/** A setting before it is known where its value comes from. */
interface Setting {
  readonly name: string;
  /** The option as it was given. */
  readonly given: unknown;
  readonly value: string;
  /** The variables of which one that is set decides, unless the option is given. */
  readonly variables?: readonly string[];
}

/** The options that are values; the others are functions and objects of the program. */
type ShownOptions = Omit<
  WorkerOptions,
  "tasks" | "lifespan" | "taskLifespan" | "preflight" | "classify" | "logger" | "onFatal"
>;

/** The settings of each option. */
const SETTINGS: {
  readonly [Option in keyof Required<ShownOptions>]: (
    given: ShownOptions,
    used: CompiledOptions,
  ) => readonly Setting[];
} = {
  scheduler: ({ scheduler }, { connection }) => [
    {
      name: "scheduler",
      given: scheduler,
      value: connection.addresses.join(","),
      variables: ["MUSTER_SCHEDULER_ADDR"],
    },
  ],
  token: ({ token }, { connection }) => [
    {
      name: "token",
      given: token,
      value: connection.token === undefined ? "" : "(set, not shown)",
      variables: ["MUSTER_TOKEN"],
    },
  ],
  tls: ({ tls }, { connection }) => [
    {
      name: "tls",
      given: tls,
      value: tlsText(connection.tls),
      variables: ["MUSTER_TLS_CA", "MUSTER_TLS_CERT", "MUSTER_TLS_KEY"],
    },
  ],
  id: (given, used) => [{ name: "id", given: given.id, value: used.id, variables: ["WORKER_ID"] }],
  pool: (given, used) => [{ name: "pool", given: given.pool, value: used.pool, variables: ["MUSTER_POOL"] }],
  buildId: (given, used) => [
    { name: "buildId", given: given.buildId, value: used.buildId, variables: ["MUSTER_BUILD_ID"] },
  ],
  labels: (given, used) => [{ name: "labels", given: given.labels, value: pairs(used.labels) }],
  queues: (given, used) => [{ name: "queues", given: given.queues, value: used.queues.join(" ") }],
  concurrency: (given, used) => [
    {
      name: "concurrency",
      given: given.concurrency,
      value: String(used.concurrency),
      variables: ["WORKER_MAX_CONCURRENCY"],
    },
  ],
  prefetch: (given, used) => [{ name: "prefetch", given: given.prefetch, value: String(used.prefetch) }],
  assignmentBytes: (given, used) => [
    {
      name: "assignmentBytes",
      given: given.assignmentBytes,
      value: used.assignmentBytes === 0 ? "" : String(used.assignmentBytes),
    },
  ],
  capacities: (given, used) => [
    { name: "capacities", given: given.capacities, value: pairs(used.capacities) },
  ],
  backpressure: ({ backpressure }, used) => [
    {
      name: "backpressure",
      given: backpressure,
      value: backpressureText(used.backpressure),
    },
  ],
  resources: (given, used) => [
    { name: "resources", given: given.resources, value: used.resources.join(" ") },
  ],
  scratch: ({ scratch }, used) => [
    {
      name: "scratch.dir",
      given: scratch?.dir,
      value: used.scratch.folder ?? "",
      variables: ["WORKER_SCRATCH_DIR"],
    },
    {
      name: "scratch.keepS",
      given: scratch?.keepS,
      value: String(used.scratch.keepS),
      variables: ["WORKER_SCRATCH_KEEP_S"],
    },
    {
      name: "scratch.quotaBytes",
      given: scratch?.quotaBytes,
      value: used.scratch.quotaBytes === undefined ? "" : String(used.scratch.quotaBytes),
      variables: ["WORKER_SCRATCH_QUOTA_BYTES"],
    },
    {
      name: "scratch.keepOnSuccess",
      given: scratch?.keepOnSuccess,
      value: String(used.scratch.keepOnSuccess),
      variables: ["KEEP_SCRATCH_ON_SUCCESS"],
    },
  ],
  taskLogs: ({ taskLogs }, used) => [
    {
      name: "taskLogs",
      given: taskLogs === false ? false : taskLogs?.level,
      value: used.taskLogs?.level ?? "off",
      variables: ["WORKER_TASK_LOGS"],
    },
  ],
  stacks: (given, used) => [
    { name: "stacks", given: given.stacks, value: String(used.stacks), variables: ["WORKER_STACKS"] },
  ],
  artifacts: ({ artifacts }, used) => [
    {
      name: "artifacts",
      given: artifacts,
      value: used.artifacts?.uriOf("artifacts") ?? "",
      variables: ["WORKER_ARTIFACT_DIR"],
    },
  ],
  payloads: ({ payloads }, { payloads: used }) => [
    {
      name: "payloads.codecs",
      given: payloads?.codecs,
      value: used?.codecs.map(({ name }) => name).join(" ") ?? "",
    },
    {
      name: "payloads.claimCheck",
      given: payloads?.claimCheck,
      value:
        used?.store === undefined ? "" : `above ${used.aboveBytes} bytes in ${used.store.uriOf("payloads")}`,
    },
    { name: "payloads.maxBytes", given: payloads?.maxBytes, value: used ? String(used.maxBytes) : "" },
  ],
  registerTimeoutS: (given, used) => [
    {
      name: "registerTimeoutS",
      given: given.registerTimeoutS,
      value: String(used.registerTimeoutS),
      variables: ["WORKER_REGISTER_TIMEOUT_S"],
    },
  ],
  drainTimeoutS: (given, used) => [
    {
      name: "drainTimeoutS",
      given: given.drainTimeoutS,
      value: String(used.drainTimeoutS),
      variables: ["WORKER_DRAIN_TIMEOUT_S"],
    },
  ],
  warn: (given, used) => warnings(given, used),
  logLevel: (given, used) => [
    { name: "logLevel", given: given.logLevel, value: used.logLevel, variables: ["WORKER_LOG_LEVEL"] },
  ],
  http: (given, { http }) => [
    {
      name: "http",
      given: given.http,
      value: http ? `${http.host}:${http.port}` : "",
      variables: ["WORKER_HTTP_ADDR"],
    },
  ],
  httpBlockedLimitS: (given, { http }) =>
    http
      ? [
          {
            name: "httpBlockedLimitS",
            given: given.httpBlockedLimitS,
            value: String(http.blockedLimitMs / 1_000),
            variables: ["WORKER_HTTP_BLOCKED_LIMIT_S"],
          },
        ]
      : [],
};

/** Every setting of a worker with the source of its value, by area. */
export function effectiveSettings(
  given: ShownOptions,
  used: CompiledOptions,
  env: Environment,
): EffectiveSetting[] {
  return Object.values(SETTINGS).flatMap((settings) =>
    settings(given, used).map(({ name, given: option, value, variables = [] }): EffectiveSetting => {
      const variable = variables.find((each) => env[each]?.trim());
      const source = option !== undefined ? "option" : variable === undefined ? "default" : "environment";
      return { name, value, source, variable: variable ?? variables[0] ?? "" };
    }),
  );
}

/** The phases that have a threshold by an option, a variable or by default. */
function warnings({ warn = {} }: ShownOptions, { warnS }: CompiledOptions): Setting[] {
  return [...new Set([...DEFAULT_WARN_S.keys(), ...warnS.keys()])].map((phase) => ({
    name: `warn.${phase}`,
    given: warn[phase],
    value: String(warnS.get(phase) ?? DEFAULT_WARN_S.get(phase)),
    ...(DEFAULT_WARN_S.has(phase) ? { variables: [`WORKER_WARN_${phase.toUpperCase()}_S`] } : {}),
  }));
}

function tlsText(tls: CompiledOptions["connection"]["tls"]): string {
  if (tls === undefined) return "off";
  return tls.cert === undefined ? "on" : "on, with a client certificate";
}

function backpressureText(backpressure: CompiledOptions["backpressure"]): string {
  if (backpressure === undefined) return "";
  const limits = Object.entries(backpressure.limits).flatMap(([measure, watermarks]) =>
    watermarks ? [`${measure}=${watermarks.join("/")}`] : [],
  );
  return [...limits, ...(backpressure.probe ? ["probe"] : [])].join(" ");
}

function pairs(values: Readonly<Record<string, string | number>>): string {
  return Object.entries(values)
    .map(([name, value]) => `${name}=${value}`)
    .join(" ");
}
