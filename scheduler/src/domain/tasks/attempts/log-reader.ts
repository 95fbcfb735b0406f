/** Makes records of the stored rows of a task's log: puts lines in order, leaves out repeated ones, and counts missing ones. */

/** Levels of lines, the least important first. */
const LEVELS = ["debug", "info", "warn", "error"] as const;

/** A stored line. */
interface Line {
  readonly sequence: number;
  readonly ageMs: number;
  readonly level: (typeof LEVELS)[number];
  readonly message: string;
  readonly fields: string;
}

/** A stored row of lines. */
interface Row {
  readonly epoch: number;
  readonly lastSequence: number;
  readonly complete: boolean;
  readonly timeMs: number;
  readonly lines: readonly Line[];
}

/** A line of the log, or a gap in it. */
export type LogRecord =
  | (Omit<Line, "ageMs"> & { readonly kind: "line"; readonly epoch: number; readonly timeMs: number })
  | {
      readonly kind: "gap";
      readonly epoch: number;
      /** Number of the last missing line. */
      readonly sequence: number;
      readonly missing: number;
    };

/** Which lines are wanted. Gaps always are: what is missing may have been wanted. */
export interface LogFilter {
  readonly minLevel: (typeof LEVELS)[number] | undefined;
  readonly sinceMs: number | undefined;
  /** In lower case; empty for every line. */
  readonly contains: string;
}

/** Reads the rows of a task's attempts, from where a reader is. */
export class LogReader {
  readonly #filter: LogFilter;
  readonly #positions: Map<number, number>;
  readonly #complete = new Set<number>();

  /** @param positions Up to where each attempt has been read: the number of a line by epoch. */
  constructor(filter: LogFilter, positions: Iterable<readonly [epoch: number, sequence: number]> = []) {
    this.#filter = filter;
    this.#positions = new Map(positions);
  }

  /** Up to where each attempt has been read. */
  get positions(): ReadonlyMap<number, number> {
    return this.#positions;
  }

  /** True when everything that the attempt logged has been read. */
  isComplete(epoch: number): boolean {
    return this.#complete.has(epoch);
  }

  /** The records of rows that follow those before. */
  read(rows: readonly Row[]): LogRecord[] {
    const records: LogRecord[] = [];
    for (const row of rows) {
      for (const line of row.lines) {
        if (!this.#advance(row.epoch, line.sequence, records)) continue;
        const { ageMs, ...rest } = line;
        const record = { kind: "line", epoch: row.epoch, timeMs: row.timeMs - ageMs, ...rest } as const;
        if (this.#wants(record)) records.push(record);
      }
      // The end of an attempt has a number of its own.
      if (row.complete) this.#advance(row.epoch, row.lastSequence, records);
      if (row.complete) this.#complete.add(row.epoch);
    }
    return records;
  }

  /** Moves on to a number, with a gap for those between; false for one that was read before. */
  #advance(epoch: number, sequence: number, records: LogRecord[]): boolean {
    const before = this.#positions.get(epoch) ?? 0;
    if (sequence <= before) return false;
    const missing = sequence - before - 1;
    if (missing > 0) records.push({ kind: "gap", epoch, sequence: sequence - 1, missing });
    this.#positions.set(epoch, sequence);
    return true;
  }

  #wants({ level, timeMs, message, fields }: Extract<LogRecord, { kind: "line" }>): boolean {
    const { minLevel, sinceMs, contains } = this.#filter;
    if (minLevel !== undefined && LEVELS.indexOf(level) < LEVELS.indexOf(minLevel)) return false;
    if (sinceMs !== undefined && timeMs < sinceMs) return false;
    return (
      contains === "" || message.toLowerCase().includes(contains) || fields.toLowerCase().includes(contains)
    );
  }
}
