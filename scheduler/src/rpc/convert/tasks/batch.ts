/** Batches in protobuf. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { BatchCountsSchema, BatchSchema } from "@muster/protocol";
import { formatTaskId } from "../../../domain/ids.ts";
import { type BatchRecord, formatBatchId, type ListedBatch } from "../../../domain/tasks/batch.ts";
import { optional } from "../values/optional.ts";

export function fromBatch(batch: ListedBatch): MessageInitShape<typeof BatchSchema> {
  const { closeTime, cancelTime, counts } = batch;
  return {
    id: formatBatchId(batch.id),
    title: batch.title,
    completionTaskId: batch.hasCompletion ? formatTaskId(batch.id) : "",
    createTime: timestampFromDate(batch.createTime),
    ...(closeTime ? { closeTime: timestampFromDate(closeTime) } : {}),
    ...(cancelTime ? { cancelTime: timestampFromDate(cancelTime) } : {}),
    cancelReason: batch.cancelReason ?? "",
    ...optional("counts", counts && fromCounts(counts)),
  };
}

function fromCounts(counts: BatchRecord["counts"]): MessageInitShape<typeof BatchCountsSchema> {
  return {
    totalCount: BigInt(Object.values(counts).reduce((sum, count) => sum + count, 0)),
    queuedCount: BigInt(counts.queued),
    assignedCount: BigInt(counts.assigned),
    runningCount: BigInt(counts.running),
    succeededCount: BigInt(counts.succeeded),
    failedCount: BigInt(counts.failed),
    cancelledCount: BigInt(counts.cancelled),
  };
}
