/** When a command that ended is restarted. */
export const RESTART_POLICIES = ["never", "on-failure", "always"] as const;

/** One of `RESTART_POLICIES`. */
export type RestartPolicy = (typeof RESTART_POLICIES)[number];

/** Delays between an end and the next start, milliseconds. */
export interface RestartTimings {
  /** Delay after the first end; it doubles with each further one. */
  readonly firstMs: number;
  readonly maxMs: number;
  /** A run of this length resets the delay. */
  readonly resetAfterMs: number;
}

/** 10 s, doubling to 5 min, reset by a run of 10 min. */
export const DEFAULT_RESTART_TIMINGS: RestartTimings = {
  firstMs: 10_000,
  maxMs: 300_000,
  resetAfterMs: 600_000,
};

/** The decision after an end. */
export interface RestartDecision {
  /** Undefined when it is not restarted. */
  readonly delayMs: number | undefined;
  /** Ends in a row, this one among them; pass it to the next decision. */
  readonly ends: number;
}

/**
 * Decides whether and when a command that ended is restarted.
 *
 * @param end How it ended, and how long it had run.
 * @param endsBefore Ends in a row before this one, 0 at first.
 */
export function decideRestart(
  policy: RestartPolicy,
  timings: RestartTimings,
  end: { readonly failed: boolean; readonly ranForMs: number },
  endsBefore: number,
): RestartDecision {
  const ends = end.ranForMs >= timings.resetAfterMs ? 1 : endsBefore + 1;
  if (policy === "never" || (policy === "on-failure" && !end.failed)) return { delayMs: undefined, ends };
  return { delayMs: Math.min(timings.maxMs, timings.firstMs * 2 ** (ends - 1)), ends };
}
