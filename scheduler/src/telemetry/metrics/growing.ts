/**
 * True for the failures that are logged of a row of them: the first, second, fourth, eighth and so on, so that a fault
 * that lasts is logged at growing intervals.
 *
 * @param count Failures so far, the last one included.
 */
export function isLogDue(count: number): boolean {
  return count > 0 && (count & (count - 1)) === 0;
}
