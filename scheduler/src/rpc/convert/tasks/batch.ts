/** Batches in protobuf. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { BatchSchema } from "@muster/protocol";
import { formatTaskId } from "../../../domain/ids.ts";
import { type BatchRecord, formatBatchId } from "../../../domain/tasks/batch.ts";

export function fromBatch(batch: BatchRecord): MessageInitShape<typeof BatchSchema> {
  const { closeTime, cancelTime, counts } = batch;
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  return {
    id: formatBatchId(batch.id),
    title: batch.title,
    completionTaskId: batch.hasCompletion ? formatTaskId(batch.id) : "",
    createTime: timestampFromDate(batch.createTime),
    ...(closeTime ? { closeTime: timestampFromDate(closeTime) } : {}),
    ...(cancelTime ? { cancelTime: timestampFromDate(cancelTime) } : {}),
    cancelReason: batch.cancelReason ?? "",
    counts: {
      totalCount: BigInt(total),
      queuedCount: BigInt(counts.queued),
      assignedCount: BigInt(counts.assigned),
      runningCount: BigInt(counts.running),
      succeededCount: BigInt(counts.succeeded),
      failedCount: BigInt(counts.failed),
      cancelledCount: BigInt(counts.cancelled),
    },
  };
}
