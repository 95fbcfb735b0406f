/** The role of the store that finds out, in one statement, what a poll has to read. */

/**
 * What a poll finds. A fingerprint is a text that is another one when the rows that it is of have changed, whoever changed
 * them: what was read of them need not be read again while it stays the same.
 */
export interface PollFindings {
  /** Commands for the scheduler wait. */
  readonly commands: boolean;
  /** Fingerprint of the ids of the classes after the one that was asked with. */
  readonly classes: string;
  /** Fingerprint of the pauses, weights and settings of queues, and of the weights of fairness keys. */
  readonly queues: string;
  /** Fingerprint of the pauses of workers. */
  readonly workerPauses: string;
  /** A queue has a limit. */
  readonly queueLimits: boolean;
  /** A circuit is not closed. */
  readonly circuits: boolean;
  /** An operator or a circuit has set the limit of a concurrency key. */
  readonly keyLimits: boolean;
  /** An operator has set a rate, or a rate limit's key is paused. */
  readonly rates: boolean;
  /** A task's time to start has come, or its start deadline has passed. */
  readonly dueTasks: boolean;
  /** A task that others depend on has ended. */
  readonly dependencyEnds: boolean;
  /** A batch is being cancelled. */
  readonly batchCancels: boolean;
  /** There are pools. */
  readonly pools: boolean;
}

/** Looks what there is to read. */
export interface PollStore {
  /**
   * @param schedulerId Whose commands.
   * @param afterClassId Classes with greater ids are looked at.
   */
  poll(schedulerId: string, afterClassId: number): Promise<PollFindings>;
}
