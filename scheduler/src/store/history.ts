/** The role of the store that keeps what the fleet did in each minute. */

/** Rows are kept for this long, milliseconds. */
export const HISTORY_MS = 7 * 24 * 3_600_000;

/** What the fleet did in a step of time. */
export interface HistoryRow {
  /** End of the step by the database's clock, milliseconds since the epoch. */
  readonly timeMs: number;
  /** Time of it that was counted, milliseconds. */
  readonly countedMs: number;
  readonly succeeded: number;
  readonly failed: number;
  /** Attempts that failed without the end of their task. */
  readonly failedAttempts: number;
  readonly ready: number;
  readonly scheduled: number;
  readonly active: number;
  readonly stuck: number;
  readonly oldestReadyMs: number | null;
  readonly readyWorkers: number;
  readonly workers: number;
  /** Tasks that were assigned, by the bucket of their wait; null when none was. */
  readonly waits: readonly number[] | null;
}

/** Steps of a window, oldest first. */
export interface History {
  readonly readTime: Date;
  readonly points: readonly HistoryRow[];
}

/** Keeps a row a minute. */
export interface HistoryStore {
  /** Writes a row when no other scheduler leads, and the last row is old enough. Harmless to call twice. */
  writeHistory(schedulerId: string, leaseMs: number): Promise<void>;
  readHistory(windowMs: number, stepMs: number): Promise<History>;
}
