/** The role of the store that keeps batches. Tasks become members with their insert. */
import type { BatchRecord, ListedBatch } from "../domain/tasks/batch.ts";
import type { LinkedTask } from "../domain/tasks/dependencies/dependencies.ts";
import type { TaskInsert } from "./claims.ts";

/** Members to cancel. */
export interface BatchCancelStep {
  readonly batchId: number;
  readonly reason: string;
  readonly taskIds: readonly number[];
  /** The last one; undefined when none is left. */
  readonly lastPosition: number | undefined;
}

/** Batches. */
export interface BatchStore {
  /** Creates a batch, with a completion task that waits; returns its id. */
  createBatch(title: string, completion: TaskInsert | undefined): Promise<number>;
  getBatch(id: number): Promise<BatchRecord | undefined>;
  /** Newest first: at most `limit` of them before an id. Of at most 10,000 members each the states are counted. */
  listBatches(filter: {
    readonly open: boolean;
    /** Part of the title; undefined for all. */
    readonly title: string | undefined;
    readonly beforeId: number | undefined;
    readonly limit: number;
  }): Promise<ListedBatch[]>;
  /** Takes no more members; false when there is no such batch. */
  closeBatch(id: number): Promise<boolean>;
  /** Closes a batch, and asks for the cancellation of its members; false when there is no such batch. */
  requestBatchCancel(id: number, reason: string): Promise<boolean>;
  /** The next members to cancel; undefined when no cancellation is under way. */
  nextBatchCancel(limit: number): Promise<BatchCancelStep | undefined>;
  /** The members up to this one have been cancelled; all of them when it is undefined. */
  batchCancelled(batchId: number, position: number | undefined): Promise<void>;
  /** Members in the order of their ids: at most `limit` of them after a position. */
  batchTasks(
    id: number,
    after: number,
    limit: number,
  ): Promise<{ readonly tasks: readonly LinkedTask[]; readonly lastPosition: number | undefined }>;
}
