/** Pauses, resumes and drains a worker, and ends a quarantine. */
import { type Worker, WorkerState } from "@muster/protocol";
import type { ReactNode } from "react";
import { fleet } from "../../data/transport.ts";
import { Action } from "../../ui/action.tsx";

const LIVING: ReadonlySet<WorkerState> = new Set([
  WorkerState.REGISTERED,
  WorkerState.READY,
  WorkerState.DRAINING,
  WorkerState.SUSPECT,
]);

export function WorkerActions({
  worker: { id, state, operatorPause, quarantine },
}: {
  worker: Worker;
}): ReactNode {
  return (
    <>
      {operatorPause ? (
        <Action
          key="resume"
          label="Resume"
          title={`Resume ${id}`}
          consequence="It is assigned tasks again."
          call={(reason) => fleet.resumeWorker({ workerId: id, reason })}
        />
      ) : LIVING.has(state) ? (
        <Action
          key="pause"
          label="Pause"
          title={`Pause ${id}`}
          consequence="It is assigned no task until it is resumed, also after a restart; what it holds continues."
          call={(reason) => fleet.pauseWorker({ workerId: id, reason })}
        />
      ) : null}
      {quarantine ? (
        <Action
          label="Release"
          title={`End the quarantine of ${id}`}
          consequence="It is assigned tasks as before; it is quarantined again when it goes on failing."
          call={(reason) => fleet.releaseWorker({ workerId: id, reason })}
        />
      ) : null}
      {LIVING.has(state) && state !== WorkerState.DRAINING ? (
        <Action
          label="Drain"
          title={`Drain ${id}`}
          consequence="It finishes what it holds, and its process ends."
          danger
          call={(reason) => fleet.drainWorker({ workerId: id, reason })}
        />
      ) : null}
    </>
  );
}
