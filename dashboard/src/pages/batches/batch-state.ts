/** How a batch is shown. */
import type { Batch, BatchCounts } from "@muster/protocol";
import type { Look } from "../../format/worker-state.ts";

/** Whether it takes tasks, runs, has ended or is being cancelled. */
export function batchLook({
  closeTime,
  cancelTime,
  counts,
}: Pick<Batch, "closeTime" | "cancelTime" | "counts">): Look {
  const left = counts ? openOf(counts) : undefined;
  if (cancelTime)
    return left === 0 ? { word: "cancelled", tone: "warn" } : { word: "being cancelled", tone: "warn" };
  if (!closeTime) return { word: "takes tasks", tone: "info" };
  if (left !== 0) return { word: "running", tone: "info" };
  return counts && counts.failedCount > 0n
    ? { word: "ended with failures", tone: "bad" }
    : { word: "ended", tone: "good" };
}

/** Members that have not ended. */
export function openOf(counts: BatchCounts): number {
  return Number(counts.queuedCount + counts.assignedCount + counts.runningCount);
}

/** Share of the members that have ended; undefined without members. */
export function endedShare(counts: BatchCounts | undefined): number | undefined {
  if (counts === undefined || counts.totalCount === 0n) return undefined;
  return (Number(counts.totalCount) - openOf(counts)) / Number(counts.totalCount);
}

/** The states of the members, in the order of the bar. */
export function partsOf(counts: BatchCounts): { name: string; count: number; tone: string }[] {
  return [
    { name: "succeeded", count: Number(counts.succeededCount), tone: "good" },
    { name: "failed", count: Number(counts.failedCount), tone: "bad" },
    { name: "cancelled", count: Number(counts.cancelledCount), tone: "warn" },
    { name: "active", count: Number(counts.assignedCount + counts.runningCount), tone: "info" },
    { name: "waiting", count: Number(counts.queuedCount), tone: "plain" },
  ];
}
