/** The handlers of WorkerService. */
import type { WorkerService } from "@muster/protocol";
import type { LaunchStops } from "../../dispatch/launches/launch-stops.ts";
import type { Launches } from "../../dispatch/launches/launches.ts";
import type { MachineNotices } from "../../dispatch/launches/machine-notices.ts";
import { durationFromMs, toMs } from "../convert/values/time.ts";
import { fromStop, toLaunchExit, toLaunchReport } from "../convert/workers/launch.ts";
import type { Handlers } from "../server/handlers.ts";

/** Parts that WorkerService uses. */
export interface WorkerServiceParts {
  readonly launches: Launches;
  readonly launchStops: Pick<LaunchStops, "wait">;
  readonly machineNotices: MachineNotices;
  readonly stopping: AbortSignal;
}

/** Handlers of WorkerService's calls for supervisors; rpc/streams serves its stream. */
export function workerService({
  launches,
  launchStops,
  machineNotices,
  stopping,
}: WorkerServiceParts): Handlers<typeof WorkerService> {
  return {
    async reportLaunch(request, { signal }) {
      const { launchId, seenStopNumber } = request;
      const report = toLaunchReport(request);
      const { stop, ...known } = await launches.report(report);
      const draining = await machineNotices.apply(report, known);
      const isNew = stop !== undefined && stop.number > seenStopNumber;
      // The next report must come before the supervisor counts as silent.
      const waitMs = Math.min(toMs(request.maxWait) ?? 0, launches.reportIntervalMs);
      const received =
        isNew || waitMs === 0
          ? stop
          : await launchStops.wait(launchId, seenStopNumber, waitMs, AbortSignal.any([signal, stopping]));
      return {
        reportInterval: durationFromMs(launches.reportIntervalMs),
        ...(received && received.number > seenStopNumber ? { stop: fromStop(received) } : {}),
        ...(draining ? { draining } : {}),
      };
    },

    async reportExit(request) {
      return { requeuedCount: await launches.exit(toLaunchExit(request)) };
    },
  };
}
