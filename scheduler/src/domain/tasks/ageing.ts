/** Priority with ageing: waiting counts like priority, so that a low priority waits for a bounded time. */

/** What a waiting task is ordered by, among those of one queue and fairness key. */
export interface Aged {
  readonly id: number;
  readonly priority: number;
  /** Since when it has been ready, monotonic milliseconds; undefined for not known, which counts as now. */
  readonly readyAt?: number | undefined;
}

/**
 * Whether one goes before the other. A task goes before those of a priority that is n levels higher when it has been ready n
 * times the interval longer. Waiting does not change the order of two tasks, so that it is kept and never sorted anew. Tasks of
 * one priority go in the order of their ids.
 *
 * @param intervalMs The wait that counts as much as one level of priority; Infinity for none.
 */
export function goesBefore(one: Aged, other: Aged, intervalMs: number): boolean {
  const levels = one.priority - other.priority;
  if (levels === 0) return one.id < other.id;
  if (intervalMs === Number.POSITIVE_INFINITY) return levels > 0;
  const { readyAt: a = Number.POSITIVE_INFINITY } = one;
  const { readyAt: b = Number.POSITIVE_INFINITY } = other;
  // Both are not known.
  if (a === b) return levels > 0;
  const ahead = b - a + levels * intervalMs;
  return ahead > 0 || (ahead === 0 && levels > 0);
}
