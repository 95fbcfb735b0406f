/** The handlers of WorkerService. */
import type { WorkerService } from "@muster/protocol";
import type { Launches } from "../../dispatch/launches/launches.ts";
import { durationFromMs } from "../convert/values/time.ts";
import { toLaunchExit, toLaunchReport } from "../convert/workers/launch.ts";
import type { Handlers } from "../server/handlers.ts";

/** Parts that WorkerService uses. */
export interface WorkerServiceParts {
  readonly launches: Launches;
}

/** Handlers of WorkerService's calls for supervisors; rpc/streams serves its stream. */
export function workerService({ launches }: WorkerServiceParts): Handlers<typeof WorkerService> {
  return {
    async reportLaunch(request) {
      await launches.report(toLaunchReport(request));
      return { reportInterval: durationFromMs(launches.reportIntervalMs) };
    },

    async reportExit(request) {
      return { requeuedCount: await launches.exit(toLaunchExit(request)) };
    },
  };
}
