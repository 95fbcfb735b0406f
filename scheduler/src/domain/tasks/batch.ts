/** Batches: sets of tasks with counts and a completion task. */
import type { TaskState } from "./task-state.ts";

/** A batch as kept in the store. */
export interface BatchRecord {
  readonly id: number;
  readonly title: string;
  /** It has the batch's id. */
  readonly hasCompletion: boolean;
  readonly createTime: Date;
  readonly closeTime: Date | undefined;
  readonly cancelTime: Date | undefined;
  readonly cancelReason: string | undefined;
  /** Members by state; one that ended counts with its first end. */
  readonly counts: Readonly<Record<TaskState, number>>;
}

/** A batch in a list. */
export interface ListedBatch extends Omit<BatchRecord, "counts"> {
  /** Undefined when it has too many members to count them all. */
  readonly counts: BatchRecord["counts"] | undefined;
}

/** Submitted tasks are to be members of a batch that takes none. */
export class BatchRefusedError extends Error {
  override readonly name = "BatchRefusedError";
  readonly batchId: number;
  readonly why: "closed" | "unknown";

  constructor(batchId: number, why: "closed" | "unknown") {
    super(`the batch ${batchId} is ${why}`);
    this.batchId = batchId;
    this.why = why;
  }
}

/** Public form of a batch's id: `b-1042`. */
export function formatBatchId(id: number): string {
  return `b-${id}`;
}

/** Inner id of a public batch id, or undefined when it has not that form. */
export function parseBatchId(text: string): number | undefined {
  return /^b-[1-9]\d{0,14}$/.test(text) ? Number(text.slice(2)) : undefined;
}
