import type { MessageInitShape } from "@bufbuild/protobuf";
import type { LaunchExitSchema, LaunchSchema } from "@muster/protocol";
import { type LaunchEnd, type LaunchRecord, registerTimeLeftMs } from "../../domain/workers/launch.ts";
import { hasRegistered, type WorkerRecord, workerState } from "../../domain/workers/worker.ts";
import { fromStartupPhase, fromWorkerState } from "./from-domain.ts";
import { durationFromMs, timestampFromDate } from "./time.ts";

/** A launch as it is sent. @param now The database's clock. @param silentAfterMs See Launches.silentAfterMs. */
export function fromLaunch(
  launch: LaunchRecord,
  worker: WorkerRecord,
  now: Date,
  silentAfterMs: number,
): MessageInitShape<typeof LaunchSchema> {
  const { end } = launch;
  const waits = !end && !hasRegistered(worker);
  return {
    id: launch.id,
    workerId: launch.workerId,
    pool: launch.pool,
    command: launch.command,
    hostname: launch.hostname,
    pid: launch.pid,
    supervisor: launch.supervisor,
    startNumber: launch.startNumber,
    launchTime: timestampFromDate(launch.launchTime),
    reportTime: timestampFromDate(launch.reportTime),
    supervisorSilent: !end && now.getTime() - launch.reportTime.getTime() > silentAfterMs,
    startupPhases: (hasRegistered(worker) ? worker.phases : launch.phases).map(fromStartupPhase),
    registerTimeout: durationFromMs(launch.registerTimeoutMs),
    ...(waits ? { registerTimeLeft: durationFromMs(Math.max(0, registerTimeLeftMs(launch, now))) } : {}),
    sessionId: worker.sessionUuid,
    state: fromWorkerState(workerState(worker, now)),
    ...(end ? { exit: fromEnd(end) } : {}),
    lastError: launch.lastError,
  };
}

function fromEnd({ reason, time, exit, restartTime, logTail, requeued }: LaunchEnd) {
  return {
    reason,
    endTime: timestampFromDate(time),
    logTail: logTail ?? "",
    requeuedCount: requeued,
    ...(restartTime ? { restartTime: timestampFromDate(restartTime) } : {}),
    ...(exit
      ? {
          ...(exit.exitCode === undefined ? {} : { exitCode: exit.exitCode }),
          signal: exit.signal,
          outOfMemory: exit.outOfMemory,
          outOfMemoryEvidence: exit.outOfMemoryEvidence,
          startError: exit.startError,
          runDuration: durationFromMs(exit.ranForMs),
          stopRequested: exit.stopRequested,
          ...(exit.fatal ? { fatal: exit.fatal } : {}),
        }
      : {}),
  } satisfies MessageInitShape<typeof LaunchExitSchema>;
}
