/** The history of the fleet, in protobuf. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { GetHistoryResponseSchema } from "@muster/protocol";
import { quantile } from "../../../domain/quantile.ts";
import type { History, HistoryRow } from "../../../store/store.ts";
import { LONG_BUCKETS } from "../../../telemetry/metrics/distribution.ts";
import { durationFromMs as duration, timestampFromDate } from "../values/time.ts";

export function fromHistory(
  { readTime, points }: History,
  stepMs: number,
): MessageInitShape<typeof GetHistoryResponseSchema> {
  return {
    readTime: timestampFromDate(readTime),
    step: duration(stepMs),
    points: points.map((row) => ({
      time: timestampFromDate(new Date(row.timeMs)),
      counted: duration(row.countedMs),
      succeededCount: BigInt(row.succeeded),
      failedCount: BigInt(row.failed),
      failedAttemptCount: BigInt(row.failedAttempts),
      readyCount: BigInt(row.ready),
      scheduledCount: BigInt(row.scheduled),
      activeCount: BigInt(row.active),
      stuckCount: BigInt(row.stuck),
      ...(row.oldestReadyMs === null ? {} : { oldestReadyAge: duration(row.oldestReadyMs) }),
      ...waits(row),
      readyWorkerCount: BigInt(row.readyWorkers),
      workerCount: BigInt(row.workers),
    })),
  };
}

function waits({ waits }: HistoryRow) {
  const [p50, p95] = [0.5, 0.95].map((share) => quantile(LONG_BUCKETS, waits ?? [], share));
  if (p50 === undefined || p95 === undefined) return {};
  return { queueWaitP50: duration(p50 * 1_000), queueWaitP95: duration(p95 * 1_000) };
}
