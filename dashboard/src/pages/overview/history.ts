/** Turns the history of the fleet into lines of plots. */
import type { GetHistoryResponse, HistoryPoint } from "@muster/protocol";
import { durationMs, timestampMs } from "../../format/span.ts";

/** The values of each line at each time; null where nothing was counted. */
export interface HistoryLines {
  /** Seconds since the epoch. */
  readonly times: readonly number[];
  /** Tasks a minute. */
  readonly succeeded: readonly (number | null)[];
  readonly failed: readonly (number | null)[];
  readonly failedAttempts: readonly (number | null)[];
  /** Tasks. */
  readonly ready: readonly (number | null)[];
  readonly active: readonly (number | null)[];
  readonly scheduled: readonly (number | null)[];
  /** Milliseconds. */
  readonly waitP50: readonly (number | null)[];
  readonly waitP95: readonly (number | null)[];
  readonly oldest: readonly (number | null)[];
}

/** A pause of more than so many steps is a gap: no scheduler counted. */
const GAP_STEPS = 2.5;

export function historyLines({ points, step }: Pick<GetHistoryResponse, "points" | "step">): HistoryLines {
  const stepS = (durationMs(step) ?? 60_000) / 1_000;
  const rows: { at: number; point: HistoryPoint | undefined }[] = [];
  for (const point of points) {
    const at = (timestampMs(point.time) ?? 0) / 1_000;
    const before = rows.at(-1)?.at;
    if (before !== undefined && at - before > GAP_STEPS * stepS)
      rows.push({ at: before + stepS, point: undefined });
    rows.push({ at, point });
  }
  const line = (value: (point: HistoryPoint) => number | undefined) =>
    rows.map(({ point }) => (point === undefined ? null : (value(point) ?? null)));
  const perMinute = (value: (point: HistoryPoint) => bigint) =>
    line((point) => (Number(value(point)) * 60_000) / Math.max(1_000, durationMs(point.counted) ?? 60_000));
  return {
    times: rows.map(({ at }) => at),
    succeeded: perMinute(({ succeededCount }) => succeededCount),
    failed: perMinute(({ failedCount }) => failedCount),
    failedAttempts: perMinute(({ failedAttemptCount }) => failedAttemptCount),
    ready: line(({ readyCount }) => Number(readyCount)),
    active: line(({ activeCount }) => Number(activeCount)),
    scheduled: line(({ scheduledCount }) => Number(scheduledCount)),
    waitP50: line(({ queueWaitP50 }) => durationMs(queueWaitP50)),
    waitP95: line(({ queueWaitP95 }) => durationMs(queueWaitP95)),
    oldest: line(({ oldestReadyAge }) => durationMs(oldestReadyAge)),
  };
}
