/** The handlers of FleetService for what is counted within a window: failures, and what handlers measured. */
import type { Duration } from "@bufbuild/protobuf/wkt";
import type { FleetService } from "@muster/protocol";
import { invalidRequest } from "../../../domain/refusals.ts";
import type { MetricStore, StatisticsStore } from "../../../store/store.ts";
import { fromFailureStatistics } from "../../convert/fleet/failure-statistics.ts";
import { fromMetricStatistics } from "../../convert/fleet/metric-statistics.ts";
import { storable } from "../../convert/values/text.ts";
import { durationFault, toMs } from "../../convert/values/time.ts";
import type { Handlers } from "../../server/handlers.ts";
import { requireQueueName } from "./queue-handlers.ts";

const DEFAULT_WINDOW_MS = 3_600_000;

/** Shortest and longest window. */
const LEAST_WINDOW_MS = 1_000;
const MAX_WINDOW_MS = 31 * 24 * 3_600_000;

/** Parts that it uses. */
export interface StatisticsHandlerParts {
  readonly store: Pick<StatisticsStore, "completionsSince" | "failureStatistics"> &
    Pick<MetricStore, "metricStatistics">;
}

export function statisticsHandlers({
  store,
}: StatisticsHandlerParts): Pick<
  Handlers<typeof FleetService>,
  "getFailureStatistics" | "getMetricStatistics"
> {
  return {
    async getFailureStatistics(request) {
      const windowMs = requireWindow(request.window);
      const queue = request.queue === "" ? undefined : requireQueueName(request.queue);
      const type = storable(request.taskType, 256) || undefined;
      const workerId = storable(request.workerId, 256) || undefined;
      const failures = await store.failureStatistics({ windowMs, queue, type, workerId });
      const completions =
        workerId === undefined ? await store.completionsSince(failures.startTime) : undefined;
      const counts = completions?.counts.filter(
        (each) => (queue === undefined || each.queue === queue) && (type === undefined || each.type === type),
      );
      return fromFailureStatistics(failures, {
        count: counts?.reduce((sum, { count }) => sum + count, 0),
        ageMs: completions?.ageMs,
      });
    },

    async getMetricStatistics(request) {
      const statistics = await store.metricStatistics({
        windowMs: requireWindow(request.window),
        queue: request.queue === "" ? undefined : requireQueueName(request.queue),
        type: storable(request.taskType, 256) || undefined,
        name: storable(request.name, 256) || undefined,
      });
      return fromMetricStatistics(statistics);
    },
  };
}

/** @throws Refusal `INVALID_REQUEST` */
function requireWindow(window: Duration | undefined): number {
  if (!window) return DEFAULT_WINDOW_MS;
  const fault = durationFault(window, MAX_WINDOW_MS);
  if (fault !== undefined) throw invalidRequest({ field: "window", description: fault });
  const ms = toMs(window) ?? 0;
  if (ms >= LEAST_WINDOW_MS) return ms;
  throw invalidRequest({
    field: "window",
    description: `${ms / 1_000} s is shorter than ${LEAST_WINDOW_MS / 1_000} s`,
  });
}
