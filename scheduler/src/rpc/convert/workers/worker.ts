// A worker and its state in protobuf, and the state back.

import { create } from "@bufbuild/protobuf";
import { WorkerSchema, WorkerState } from "@muster/protocol";
import {
  type WorkerState as DomainWorkerState,
  hasRegistered,
  type WorkerRecord,
  workerState,
} from "../../../domain/workers/worker.ts";
import { optional, optionalTime } from "../values/optional.ts";
import { fromHeartbeat } from "./heartbeat.ts";
import { fromLaunch } from "./launch.ts";
import { fromStartupPhase } from "./startup.ts";

const WORKER_STATES: Readonly<Record<DomainWorkerState, WorkerState>> = {
  launching: WorkerState.LAUNCHING,
  connecting: WorkerState.CONNECTING,
  registered: WorkerState.REGISTERED,
  ready: WorkerState.READY,
  draining: WorkerState.DRAINING,
  suspect: WorkerState.SUSPECT,
  lost: WorkerState.LOST,
  gone: WorkerState.GONE,
  refused: WorkerState.REFUSED,
};

/** Domain name of a worker's state; undefined for a state of a newer version. */
export function toWorkerState(state: WorkerState): DomainWorkerState | undefined {
  return (Object.keys(WORKER_STATES) as DomainWorkerState[]).find((name) => WORKER_STATES[name] === state);
}

/** A worker's state in protobuf. */
export function fromWorkerState(state: DomainWorkerState): WorkerState {
  return WORKER_STATES[state];
}

/**
 * A worker in protobuf.
 *
 * @param now The database's clock.
 * @param silentAfterMs A supervisor without a report for this long is silent.
 */
export function fromWorker(worker: WorkerRecord, now: Date, silentAfterMs: number) {
  const { hello, launch } = worker;
  return create(WorkerSchema, {
    id: worker.workerId,
    sessionId: worker.sessionUuid,
    state: WORKER_STATES[workerState(worker, now)],
    goneReason: worker.goneReason ?? "",
    pool: hello.pool || (launch?.pool ?? ""),
    labels: { ...hello.labels },
    taskTypes: hello.types.map(({ type, concurrency }) => ({ taskType: type, concurrency })),
    queues: [...hello.queues],
    slotCount: worker.heartbeat?.slots ?? hello.slots,
    activeCount: worker.activeCount,
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
    schedulerId: worker.schedulerId,
    ...optionalTime("connectTime", hasRegistered(worker) ? worker.connectTime : undefined),
    ...optionalTime("heartbeatTime", worker.heartbeatTime),
    ...optionalTime("goneTime", worker.goneTime),
    startupPhases: worker.phases.map(fromStartupPhase),
    ...optional("lastHeartbeat", worker.heartbeat && fromHeartbeat(worker.heartbeat)),
    ...optional("fatal", worker.fatal),
    running: worker.heartbeat ? fromHeartbeat(worker.heartbeat).running : [],
    paused: worker.heartbeat?.paused ?? false,
    pauseReason: worker.heartbeat?.pauseReason ?? "",
    ...optional("launch", launch && fromLaunch(launch, worker, now, silentAfterMs)),
  });
}
