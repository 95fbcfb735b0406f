/** The rule by which the limit of a task type changes: additive increase, multiplicative decrease. */

/** Bounds and thresholds of a limit. */
export interface LimitRules {
  readonly min: number;
  readonly max: number;
  /** Share of the attempts of a window that may fail. */
  readonly maxFailureShare: number;
  /** Attempts have a target: their times are shares of it. */
  readonly hasTarget: boolean;
}

/** What a window has measured: attempts that began under the present limit and have ended. */
export interface LimitWindow {
  readonly finished: number;
  readonly failed: number;
  /** Median time of those that succeeded: a share of the target, or milliseconds without one; undefined when none did. */
  readonly median: number | undefined;
  /** As many ran at once as the limit allows, at least once. */
  readonly full: boolean;
}

/** The limit with what it is judged by. */
export interface LimitState {
  readonly limit: number;
  /** Without a target: the median that attempts had while few ran; undefined before the first window. */
  readonly baseline: number | undefined;
}

/** Why a limit changes. */
export type LimitCause = "failures" | "slow" | "full";

/** What follows from a window. */
export interface LimitStep extends LimitState {
  /** Undefined: the limit stays. */
  readonly cause: LimitCause | undefined;
}

/**
 * Times of the baseline from which on attempts are slow. A program that is bound by its processors has the same times up to the
 * limit that uses all of them, and proportional ones above: the limit settles at no more than 1.5 times that limit.
 */
export const SLOW_FACTOR = 1.5;

/** What is left of a limit that falls. */
const DECREASE = 0.7;

/** A limit rises by a tenth, at least by one: from 1 to 100 in 38 windows. */
const INCREASE = 0.1;

/** Fewer attempts than this decide nothing; more than the other number are not waited for. */
const LEAST_SAMPLES = 5;
const ENOUGH_SAMPLES = 100;

/** Attempts that a window of a limit needs: one round. */
export function samplesFor(limit: number): number {
  return Math.min(ENOUGH_SAMPLES, Math.max(LEAST_SAMPLES, limit));
}

/** The limit after a window, with why it changes. It depends on nothing else. */
export function nextLimit(
  { limit, baseline }: LimitState,
  window: LimitWindow,
  rules: LimitRules,
): LimitStep {
  const { min, max, maxFailureShare, hasTarget } = rules;
  const { finished, failed, median, full } = window;
  const lower = Math.max(min, Math.floor(limit * DECREASE));
  const kept = { limit, baseline };
  if (finished > 0 && failed / finished > maxFailureShare)
    return { ...kept, limit: lower, cause: lower < limit ? "failures" : undefined };
  const slowFrom = hasTarget ? 1 : (baseline ?? Number.POSITIVE_INFINITY) * SLOW_FACTOR;
  if (median !== undefined && median > slowFrom && limit > min)
    return { ...kept, limit: lower, cause: "slow" };
  const measured = { limit, baseline: hasTarget ? undefined : nextBaseline(baseline, median, limit === min) };
  // At the least limit there is nothing to lower: what is slow there is the new baseline, unless a target says otherwise.
  const slow = hasTarget && median !== undefined && median > slowFrom;
  if (!full || slow || limit >= max) return { ...measured, cause: undefined };
  const higher = Math.min(max, limit + Math.max(1, Math.floor(limit * INCREASE)));
  return { ...measured, limit: higher, cause: "full" };
}

/**
 * The least median so far, and at the least limit the present one. It never rises elsewhere: it would follow a limit that is too high.
 * When all attempts have become slower, the limit falls to the least one, where the baseline is measured anew.
 */
function nextBaseline(
  baseline: number | undefined,
  median: number | undefined,
  isLeast: boolean,
): number | undefined {
  if (median === undefined) return baseline;
  return baseline === undefined || isLeast ? median : Math.min(baseline, median);
}
