/** Totals of what handlers measured, in protobuf. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { GetMetricStatisticsResponseSchema } from "@muster/protocol";
import type { MetricStatistics } from "../../../store/store.ts";
import { timestampFromDate } from "../values/time.ts";

export function fromMetricStatistics({
  readTime,
  startTime,
  totals,
  totalCount,
}: MetricStatistics): MessageInitShape<typeof GetMetricStatisticsResponseSchema> {
  return {
    readTime: timestampFromDate(readTime),
    startTime: timestampFromDate(startTime),
    totals: totals.map(({ queue, type, name, sum, attemptCount }) => ({
      ...{ queue, taskType: type, name, sum },
      attemptCount: BigInt(attemptCount),
    })),
    totalCount: BigInt(totalCount),
  };
}
