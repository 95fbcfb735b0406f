/** The role of the store that keeps what handlers log. */

/** Levels of lines, the least important first. */
export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;

/** One of `LOG_LEVELS`. */
export type LineLevel = (typeof LOG_LEVELS)[number];

/** A line that a handler logged. */
export interface LogLine {
  /** Number among the attempt's lines, from 1. */
  readonly sequence: number;
  /** Since it was logged, milliseconds; of a stored line, when its row was written. */
  readonly ageMs: number;
  readonly level: LineLevel;
  readonly message: string;
  /** The text of a JSON object; empty for none. */
  readonly fields: string;
}

/** Consecutive lines of an attempt, as they are stored. */
export interface LogRow {
  readonly taskId: number;
  readonly epoch: number;
  /** The session that sent them when it does not hold the attempt now: they are kept only if it once did. */
  readonly unverifiedSessionId: number | undefined;
  /** The number after the last line, when the attempt has no further lines. */
  readonly endSequence: number | undefined;
  readonly lines: readonly LogLine[];
}

/** Lines as they are read. */
export interface StoredLogRow {
  readonly epoch: number;
  /** Number of the last line; of a complete row, the number after it. */
  readonly lastSequence: number;
  readonly complete: boolean;
  /** When it was written, by the database's clock. */
  readonly timeMs: number;
  readonly lines: readonly LogLine[];
}

/** Up to where the log of an attempt has been read. */
export interface LogPosition {
  readonly epoch: number;
  readonly sequence: number;
}

/** Which attempts of a task are read. */
export interface LogRange {
  readonly taskId: number;
  /** Creation of the task: nothing is older. */
  readonly sinceMs: number;
  readonly firstEpoch: number;
  readonly lastEpoch: number;
}

/** The logs of attempts. */
export interface TaskLogStore {
  /** Stores lines; returns how many rows were of attempts that the session never held. */
  appendLogs(rows: readonly LogRow[]): Promise<number>;
  /** Rows after the positions, by attempt and number; an attempt without a position is read from its first line. */
  logsAfter(range: LogRange, positions: readonly LogPosition[], limit: number): Promise<StoredLogRow[]>;
}
