/** Checkpoints: what a handler stores for the next attempt of its task. */

/** The last checkpoint of a task, for its next attempt. */
export interface Checkpoint extends Omit<CheckpointSummary, "valueBytes" | "updateTime"> {
  readonly value: Uint8Array;
  /** Since it was stored, milliseconds. */
  readonly ageMs: number;
}

/** What is known of the last checkpoint of a task. */
export interface CheckpointSummary {
  /** Of the attempt that stored it. */
  readonly epoch: number;
  readonly valueBytes: number;
  readonly contentType: string;
  readonly updateTime: Date;
}
