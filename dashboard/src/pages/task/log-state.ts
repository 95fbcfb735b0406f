/** The lines of a log that are kept in the page. */
import type { TaskLogRecord, WatchTaskLogsResponse } from "@muster/protocol";

/** Lines that are kept: of more the newest. */
export const MAX_LINES = 2_000;

export interface LogState {
  /** Task and filter. */
  readonly key: string;
  readonly records: readonly TaskLogRecord[];
  /** Up to where each attempt's lines were read. */
  readonly positions: ReadonlyMap<string, bigint>;
  readonly dropped: number;
}

export const NO_LOG: LogState = { key: "", records: [], positions: new Map(), dropped: 0 };

/** With the lines of a message. */
export function keepNewest(
  state: LogState,
  { records, positions }: Pick<WatchTaskLogsResponse, "records" | "positions">,
): LogState {
  if (records.length === 0 && positions.length === 0) return state;
  const all = [...state.records, ...records];
  return {
    key: state.key,
    records: all.slice(-MAX_LINES),
    positions: new Map([
      ...state.positions,
      ...positions.map(({ attemptId, sequence }) => [attemptId, sequence] as const),
    ]),
    dropped: state.dropped + Math.max(0, all.length - MAX_LINES),
  };
}
