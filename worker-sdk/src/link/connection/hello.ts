/** Builds the first message of a stream. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { AdaptiveLimit, HelloSchema, RunningAttempt } from "@muster/protocol";
import { PROTOCOL_VERSION } from "@muster/protocol";
import { SDK_LANGUAGE, SDK_NAME, SDK_VERSION } from "../../version.ts";
import { startupPhase } from "../codec/wire.ts";
import type { StartupPhaseMessage } from "../messages.ts";
import type { LinkData } from "../thread-data.ts";

/** The facts of Hello that change within a session. */
export interface HelloState {
  readonly resources: readonly string[];
  readonly inFlight: RunningAttempt[];
  /** Of the types whose concurrency adapts. */
  readonly limits: Readonly<Record<string, AdaptiveLimit>>;
  readonly phases: readonly StartupPhaseMessage[];
  readonly lastError: string;
  readonly ready: boolean;
  readonly draining: boolean;
}

/** First message of a stream. */
export function buildHello(
  data: Omit<LinkData, "shared">,
  now: HelloState,
): MessageInitShape<typeof HelloSchema> {
  return {
    protocolVersion: PROTOCOL_VERSION,
    workerId: data.workerId,
    sessionId: data.sessionId,
    sdkName: data.elsewhere?.sdk ?? SDK_NAME,
    sdkVersion: data.elsewhere?.sdkVersion ?? SDK_VERSION,
    language: data.elsewhere?.language ?? SDK_LANGUAGE,
    host: {
      hostname: data.host.hostname,
      pid: data.elsewhere?.pid ?? process.pid,
      ...(data.host.uid === undefined ? {} : { uid: data.host.uid }),
      ...(data.host.gid === undefined ? {} : { gid: data.host.gid }),
      cwd: data.host.cwd,
      cpuCount: data.host.cpuCount,
      memoryBytes: BigInt(data.host.memoryBytes),
      runtime: data.elsewhere?.runtime ?? `node ${process.version}`,
    },
    pool: data.pool,
    buildId: data.buildId,
    labels: { ...data.labels },
    taskTypes: data.types.map(({ type, concurrency }) => ({
      taskType: type,
      concurrency,
      ...(Object.hasOwn(now.limits, type) ? { adaptive: now.limits[type] } : {}),
    })),
    queues: [...data.queues],
    slotCount: data.slots,
    prefetchCount: data.prefetch,
    assignmentBytes: BigInt(data.assignmentBytes),
    capacities: Object.fromEntries(
      Object.entries(data.capacities).map(([name, amount]) => [name, BigInt(amount)]),
    ),
    resources: [...now.resources],
    launchId: data.launchId,
    inFlight: now.inFlight,
    startupPhases: now.phases.map(startupPhase),
    features: [...data.features],
    loadableResources: [...data.loadable],
    settings: data.settings.map((setting) => ({ ...setting })),
    lastError: now.lastError,
    ready: now.ready,
    draining: now.draining,
  };
}
