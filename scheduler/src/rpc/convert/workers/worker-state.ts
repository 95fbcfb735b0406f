// A worker's state in protobuf, and back.

import { WorkerState } from "@muster/protocol";
import type { WorkerState as DomainWorkerState } from "../../../domain/workers/worker.ts";

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
