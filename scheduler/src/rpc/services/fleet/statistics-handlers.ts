/** The handlers of FleetService for what is counted within a window: failures, and what handlers measured. */
import type { Duration } from "@bufbuild/protobuf/wkt";
import type { FleetService } from "@muster/protocol";
import { invalidRequest } from "../../../domain/refusals.ts";
import { HISTORY_MS } from "../../../store/history.ts";
import type { HistoryStore, MetricStore, StatisticsStore } from "../../../store/store.ts";
import { fromFailureStatistics } from "../../convert/fleet/failure-statistics.ts";
import { fromHistory } from "../../convert/fleet/history.ts";
import { fromMetricStatistics } from "../../convert/fleet/metric-statistics.ts";
import { storable } from "../../convert/values/text.ts";
import { durationFault, toMs } from "../../convert/values/time.ts";
import type { Handlers } from "../../server/handlers.ts";
import { requireQueueName } from "./queue-handlers.ts";

interface Windows {
  readonly defaultMs: number;
  readonly leastMs: number;
  readonly mostMs: number;
}

const COUNT_WINDOWS: Windows = { defaultMs: 3_600_000, leastMs: 1_000, mostMs: 31 * 24 * 3_600_000 };

const HISTORY_STEP_MS = 60_000;
const HISTORY_WINDOWS: Windows = {
  defaultMs: 6 * 3_600_000,
  leastMs: HISTORY_STEP_MS,
  mostMs: HISTORY_MS,
};

/** Points of a history: six hours have one for each minute. */
const MAX_POINTS = 360;

/** Parts that it uses. */
export interface StatisticsHandlerParts {
  readonly store: Pick<StatisticsStore, "completionsSince" | "failureStatistics"> &
    Pick<HistoryStore, "readHistory"> &
    Pick<MetricStore, "metricStatistics">;
}

export function statisticsHandlers({
  store,
}: StatisticsHandlerParts): Pick<
  Handlers<typeof FleetService>,
  "getFailureStatistics" | "getHistory" | "getMetricStatistics"
> {
  return {
    async getFailureStatistics(request) {
      const windowMs = requireWindow(request.window);
      const queue = request.queue === "" ? undefined : requireQueueName(request.queue);
      const type = storable(request.taskType, 256) || undefined;
      const workerId = storable(request.workerId, 256) || undefined;
      const { byFrame } = request;
      const failures = await store.failureStatistics({ windowMs, queue, type, workerId, byFrame });
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

    async getHistory(request) {
      const windowMs = requireWindow(request.window, HISTORY_WINDOWS);
      const stepMs = Math.ceil(windowMs / MAX_POINTS / HISTORY_STEP_MS) * HISTORY_STEP_MS;
      return fromHistory(await store.readHistory(windowMs, stepMs), stepMs);
    },
  };
}

/** @throws Refusal `INVALID_REQUEST` */
function requireWindow(
  window: Duration | undefined,
  { defaultMs, leastMs, mostMs }: Windows = COUNT_WINDOWS,
): number {
  if (!window) return defaultMs;
  const fault = durationFault(window, mostMs);
  if (fault !== undefined) throw invalidRequest({ field: "window", description: fault });
  const ms = toMs(window) ?? 0;
  if (ms >= leastMs) return ms;
  throw invalidRequest({
    field: "window",
    description: `${ms / 1_000} s is shorter than ${leastMs / 1_000} s`,
  });
}
