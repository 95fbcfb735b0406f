/** What the handler of an attempt has measured and noted. */
import type { Facts } from "@muster/common/facts";

/** Sums by name. */
export type MetricSums = Readonly<Record<string, number>>;

/** A report: all that the handler has measured and noted so far. */
export interface HandlerReport {
  readonly metrics: MetricSums;
  readonly facts: Facts;
  /** Entries that broke the rules and were left out. */
  readonly refusedCount: number;
}

/** Most metrics of an attempt. */
export const MAX_METRICS = 32;

/** Whether a number may be the sum of a metric. */
export function isMetricSum(value: number): boolean {
  return value >= 0 && value <= Number.MAX_SAFE_INTEGER;
}

/**
 * Sums with those of a later report: a sum never falls, and names beyond the limit are left out.
 *
 * @returns The same object when the report changes nothing.
 */
export function withSums(known: MetricSums, reported: MetricSums): { sums: MetricSums; leftOut: number } {
  let sums: Record<string, number> | undefined;
  let leftOut = 0;
  for (const [name, value] of Object.entries(reported)) {
    const current = sums ?? known;
    const before = Object.hasOwn(current, name) ? (current[name] ?? 0) : undefined;
    if (before !== undefined && value <= before) continue;
    if (before === undefined && Object.keys(current).length >= MAX_METRICS) {
      leftOut++;
      continue;
    }
    sums ??= { ...known };
    sums[name] = value;
  }
  return { sums: sums ?? known, leftOut };
}
