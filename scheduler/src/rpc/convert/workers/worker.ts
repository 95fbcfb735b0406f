// A worker in protobuf.

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type WorkerQuarantineSchema, WorkerSchema } from "@muster/protocol";
import { usualOfLaunch } from "../../../domain/explain/workers/launch.ts";
import { usualOfWorker } from "../../../domain/explain/workers/usual-startup.ts";
import { limitOf } from "../../../domain/workers/adaptive-limit.ts";
import { ownPauseReason, pauseInWords } from "../../../domain/workers/operator-pause.ts";
import { type QuarantineRecord, quarantineInWords } from "../../../domain/workers/quarantine.ts";
import type { EarlierStart } from "../../../domain/workers/startup-history.ts";
import { hasRegistered, type WorkerRecord, workerState } from "../../../domain/workers/worker.ts";
import { optional, optionalTime } from "../values/optional.ts";
import { durationFromMs, timestampFromDate } from "../values/time.ts";
import { fromAdaptiveLimit } from "./adaptive-limit.ts";
import { fromCompletions } from "./completions.ts";
import { fromHeartbeat } from "./heartbeat.ts";
import { fromLaunch } from "./launch.ts";
import { fromStartupPhase } from "./startup.ts";
import { fromWorkerState } from "./worker-state.ts";

/**
 * A worker in protobuf.
 *
 * @param now The database's clock.
 * @param silentAfterMs A supervisor without a report for this long is silent.
 * @param earlier Earlier starts of a worker that is starting.
 */
export function fromWorker(
  worker: WorkerRecord,
  now: Date,
  silentAfterMs: number,
  earlier: readonly EarlierStart[] = [],
) {
  const { hello, launch, operatorPause } = worker;
  const pauseReason = pauseInWords(ownPauseReason(worker.heartbeat, operatorPause), operatorPause);
  return create(WorkerSchema, {
    id: worker.workerId,
    sessionId: worker.sessionUuid,
    state: fromWorkerState(workerState(worker, now)),
    goneReason: worker.goneReason ?? "",
    pool: hello.pool || (launch?.pool ?? ""),
    labels: { ...hello.labels },
    taskTypes: hello.types.map(({ type, concurrency }) => {
      const adaptive = limitOf(worker.heartbeat?.adaptive, type) ?? limitOf(hello.adaptive, type);
      return {
        taskType: type,
        concurrency,
        ...optional("adaptive", adaptive && fromAdaptiveLimit(adaptive)),
      };
    }),
    queues: [...hello.queues],
    slotCount: worker.heartbeat?.slots ?? hello.slots,
    activeCount: worker.activeCount,
    releasedCount: worker.releasedCount ?? 0,
    capacities: (worker.capacities ?? []).map(({ name, total, used }) => ({
      name,
      total: BigInt(total),
      used: BigInt(used),
    })),
    resources: [...(worker.heartbeat?.resources ?? hello.resources)],
    host: {
      hostname: hello.host.hostname,
      pid: hello.host.pid,
      ...optional("uid", hello.host.uid),
      ...optional("gid", hello.host.gid),
      cwd: hello.host.cwd,
      cpuCount: hello.host.cpus,
      memoryBytes: BigInt(hello.host.memoryBytes),
      runtime: hello.host.runtime,
    },
    sdk: hello.sdk,
    buildId: hello.buildId ?? "",
    schedulerId: worker.schedulerId,
    ...optionalTime("connectTime", hasRegistered(worker) ? worker.connectTime : undefined),
    ...optionalTime("heartbeatTime", worker.heartbeatTime),
    ...optionalTime("goneTime", worker.goneTime),
    ...optionalTime("leaseEndTime", worker.goneTime ? undefined : worker.leaseUntil),
    startupPhases: worker.phases.map(fromStartupPhase),
    ...optional("lastHeartbeat", worker.heartbeat && fromHeartbeat(worker.heartbeat)),
    ...optional("fatal", worker.fatal),
    running: worker.heartbeat ? fromHeartbeat(worker.heartbeat).running : [],
    paused: pauseReason !== undefined,
    pauseReason: pauseReason ?? "",
    ...optional(
      "operatorPause",
      operatorPause && { reason: operatorPause.reason, pauseTime: timestampFromDate(operatorPause.since) },
    ),
    ...optional("completions", completionsOf(worker, now)),
    settings: (worker.settings ?? []).map((setting) => ({ ...setting })),
    usualStartup: usualStartupOf(worker, now, earlier),
    ...optional("quarantine", worker.quarantine && fromQuarantine(worker.quarantine)),
    ...optional("launch", launch && fromLaunch(launch, worker, now, silentAfterMs)),
  });
}

function usualStartupOf(worker: WorkerRecord, now: Date, earlier: readonly EarlierStart[]): string {
  if (earlier.length === 0) return "";
  if (hasRegistered(worker)) return usualOfWorker(worker, now, earlier);
  return worker.launch ? usualOfLaunch(worker.launch, now, earlier) : "";
}

/** Undefined for a worker that has ended, or whose scheduler does not count. */
function completionsOf({ goneTime, heartbeat, heartbeatTime }: WorkerRecord, now: Date) {
  const seen = heartbeat?.seen;
  if (goneTime || !seen?.completed) return undefined;
  const ageMs = heartbeatTime ? now.getTime() - heartbeatTime.getTime() : 0;
  return fromCompletions({ ...seen.completed, idleMs: seen.idleMs }, ageMs);
}

/** A quarantine in protobuf. */
function fromQuarantine(record: QuarantineRecord): MessageInitShape<typeof WorkerQuarantineSchema> {
  return {
    startTime: timestampFromDate(record.since),
    summary: quarantineInWords(record),
    finishedCount: record.finished,
    failedCount: record.failed,
    peerCount: record.peerCount,
    peerFinishedCount: record.peersTogether.finished,
    peerFailedCount: record.peersTogether.failed,
    window: durationFromMs(record.windowMs),
    errors: record.errors.map((error) => ({ ...error })),
    failedProbeCount: record.failedProbes,
    probeTime: timestampFromDate(record.probeTime),
  };
}
