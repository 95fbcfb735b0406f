/** The role of the store that keeps checkpoints. */
import type { AttemptKey } from "../domain/ids.ts";
import type { CheckpointSummary } from "../domain/tasks/attempts/checkpoint.ts";

/** A checkpoint as a worker reports it. */
export interface NewCheckpoint {
  readonly key: AttemptKey;
  /** Grows within the attempt. */
  readonly sequence: number;
  readonly contentType: string;
  readonly value: Uint8Array;
}

/** Checkpoints of tasks, the last of each. The claim of a task has it. */
export interface CheckpointStore {
  /**
   * Stores checkpoints of attempts, at most one for each task. One with a number that is not higher than that of the stored one
   * changes nothing.
   *
   * @returns The tasks whose attempts are current: of the others nothing was stored.
   */
  putCheckpoints(checkpoints: readonly NewCheckpoint[]): Promise<readonly number[]>;
  /** The task's last checkpoint; undefined when it has none. */
  checkpointOf(taskId: number): Promise<CheckpointSummary | undefined>;
}
