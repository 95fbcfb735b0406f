/** The data that the link's thread starts with. */
import { randomUUID } from "node:crypto";
import { availableParallelism, hostname, totalmem } from "node:os";
import { firstReport } from "../adaptive/adaptive-limit.ts";
import { processAgeMs } from "../clock.ts";
import type { StartupPhaseMessage } from "../link/messages.ts";
import type { LinkData } from "../link/thread-data.ts";
import type { LogLevel } from "../logging/logger.ts";
import type { CompiledOptions } from "../options/compiled-options.ts";
import type { EffectiveSetting } from "../options/effective-setting.ts";
import type { ResourceLoaders } from "../resources/resource-loaders.ts";
import type { Resources } from "../resources/resources.ts";
import { isTracing } from "../tracing/provider.ts";

/** Payload that is taken ahead by default, at most. */
const MAX_DEFAULT_BYTES = 64 * 1024 * 1024;

/** Facts about the process, for logs and Hello. */
export function processFacts(): {
  pid: number;
  uid: number | undefined;
  gid: number | undefined;
  cwd: string;
} {
  return { pid: process.pid, uid: process.getuid?.(), gid: process.getgid?.(), cwd: process.cwd() };
}

/** What a worker has besides its options. */
export interface LinkParts {
  readonly resources: Resources;
  readonly loaders: ResourceLoaders;
  readonly settings: readonly EffectiveSetting[];
}

/** Start data of the link's thread. `startupPhases` are those reported so far. */
export function linkData(
  options: CompiledOptions,
  { resources, loaders, settings }: LinkParts,
  startupPhases: readonly StartupPhaseMessage[],
  rest: Pick<LinkData, "program" | "registerInMs" | "stdoutLogLevel" | "elsewhere" | "ending">,
): Omit<LinkData, "shared"> {
  const { addresses, token, tls } = options.connection;
  const { uid, gid, cwd } = processFacts();
  // Without a limit the constraint is 0 or 2^64.
  const memoryBytes = Math.min(process.constrainedMemory() || totalmem(), totalmem());
  return {
    ...rest,
    host: {
      hostname: hostname(),
      cpuCount: availableParallelism(),
      memoryBytes,
      uid,
      gid,
      cwd,
    },
    addresses,
    token,
    tls,
    workerId: options.id,
    sessionId: randomUUID(),
    pool: options.pool,
    buildId: options.buildId,
    labels: options.labels,
    types: Array.from(options.tasks.values(), ({ type, concurrency, adaptive }) => ({
      type,
      concurrency,
      ...(adaptive === undefined ? {} : { limit: firstReport(adaptive) }),
    })),
    queues: options.queues,
    slots: options.concurrency,
    prefetch: options.prefetch,
    capacities: options.capacities,
    assignmentBytes: options.assignmentBytes || Math.min(MAX_DEFAULT_BYTES, Math.floor(memoryBytes / 8)),
    resources: [...resources],
    features: [
      ...(loaders.any ? ["prepare_resource"] : []),
      // The scheduler writes the spans of runs for workers that do not.
      ...(isTracing() ? ["tracing"] : []),
      // A program in another language has its own.
      ...(rest.elsewhere === undefined ? ["stacks"] : []),
    ],
    pressure: options.backpressure?.limits,
    stacks: options.stacks && rest.elsewhere === undefined,
    isolates: [...options.tasks.values()].some(({ isolate }) => isolate !== undefined),
    redactPatterns: options.taskLogs?.redactPatterns ?? [],
    loadable: loaders.names,
    launchId: options.launchId,
    http: options.http,
    settings,
    startupPhases,
    registerTimeoutS: options.registerTimeoutS,
    processAgeMs: processAgeMs(),
  };
}

/** The link's thread logs nothing above `warn`. */
export function threadLevel(level: LogLevel | undefined): "debug" | "info" | "warn" | undefined {
  return level === "error" || level === "silent" ? undefined : level;
}
