/** The handler of FleetService with which operators end a worker's process. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { FleetService, WorkerSchema } from "@muster/protocol";
import type { LaunchStops } from "../../../dispatch/launches/launch-stops.ts";
import type { Launches } from "../../../dispatch/launches/launches.ts";
import { invalidRequest } from "../../../domain/refusals.ts";
import { supervisorSilent, workerGone, workerNotSupervised } from "../../../domain/workers/kill-refusals.ts";
import type { WorkerRecord } from "../../../domain/workers/worker.ts";
import type { MaintenanceStore } from "../../../store/store.ts";
import { storable } from "../../convert/values/text.ts";
import { durationFault, toMs } from "../../convert/values/time.ts";
import type { Handlers } from "../../server/handlers.ts";

/** From SIGTERM to SIGKILL when the operator gives no time: as long as `docker stop` waits. */
const GRACE_MS = 10_000;

const MAX_GRACE_MS = 24 * 3_600_000;

/** Parts that the handler uses. */
export interface KillHandlerParts {
  readonly store: Pick<MaintenanceStore, "databaseTime">;
  readonly launches: Pick<Launches, "silentAfterMs">;
  readonly launchStops: Pick<LaunchStops, "request">;
}

/**
 * The handler.
 *
 * @param worker A worker by its id. @throws Refusal `WORKER_NOT_FOUND`
 * @param describe The answer about a worker.
 */
export function killHandlers(
  { store, launches, launchStops }: KillHandlerParts,
  worker: (workerId: string) => Promise<WorkerRecord>,
  describe: (workerId: string) => Promise<MessageInitShape<typeof WorkerSchema>>,
): Pick<Handlers<typeof FleetService>, "killWorker"> {
  return {
    async killWorker({ workerId, reason, grace, restart }) {
      const fault = grace && durationFault(grace, MAX_GRACE_MS);
      if (fault !== undefined) throw invalidRequest({ field: "grace", description: fault });
      const record = await worker(workerId);
      const { launch } = record;
      const now = await store.databaseTime();
      // A session that was given up may have a process that still runs.
      if (launch?.end || (!launch && record.goneTime)) throw workerGone(record, now);
      if (!launch) throw workerNotSupervised(record);
      if (now.getTime() - launch.reportTime.getTime() > launches.silentAfterMs)
        throw supervisorSilent(launch, now);
      const stop = await launchStops.request(
        { launchId: launch.id, workerId: record.workerId },
        {
          reason: storable(reason, 1_024) || "asked by an operator",
          graceMs: toMs(grace) ?? GRACE_MS,
          restart,
        },
      );
      if (stop === undefined) throw workerGone(await worker(launch.id), now);
      return { worker: await describe(launch.id) };
    },
  };
}
