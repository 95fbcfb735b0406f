/** What a worker has completed, as its scheduler counts it and writes it for the others. */

/** How long a success counts as recent, milliseconds. */
export const RECENT_MS = 300_000;

/** Successes are counted in steps of this length, milliseconds. */
export const COMPLETION_STEP_MS = 15_000;

export const COMPLETION_STEPS = RECENT_MS / COMPLETION_STEP_MS;

/** Successes of a session. */
export interface CompletionRecord {
  readonly total: number;
  /** By step, the newest first, which is not over; steps at the end without a success are missing. */
  readonly recent: readonly number[];
}

/** What a worker has completed, as of a heartbeat. */
export interface CompletionFacts extends CompletionRecord {
  /** Since it came to hold nothing, milliseconds; undefined while it holds something. */
  readonly idleMs: number | undefined;
}

/** Successes of the last five minutes. @param ageMs How old the record is. */
export function recentCount({ recent }: CompletionRecord, ageMs: number): number {
  const over = Math.max(0, Math.floor(ageMs / COMPLETION_STEP_MS));
  return recent.slice(0, Math.max(0, COMPLETION_STEPS - over)).reduce((sum, count) => sum + count, 0);
}
