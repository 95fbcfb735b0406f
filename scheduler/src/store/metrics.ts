/** The role of the store that keeps what handlers measured. */
import type { Facts } from "@muster/common/facts";
import type { AttemptKey } from "../domain/ids.ts";
import type { MetricSums } from "../domain/tasks/attempts/handler-report.ts";

/** The sums of an attempt as its worker reported them, and what it noted for its failure. */
export interface AttemptSums {
  readonly key: AttemptKey;
  readonly sums: MetricSums;
  readonly facts: Facts;
}

/** By how much the sums of a class have grown. */
export interface MetricGrowth {
  readonly classId: number;
  readonly name: string;
  readonly growth: number;
}

/** Which totals are read; undefined lets everything through. */
export interface MetricFilter {
  readonly windowMs: number;
  readonly queue: string | undefined;
  readonly type: string | undefined;
  readonly name: string | undefined;
}

/** What the attempts of one queue and type measured under one name. */
export interface MetricTotal {
  readonly queue: string;
  readonly type: string;
  readonly name: string;
  readonly sum: number;
  /** Attempts that reported it for the first time in the window. */
  readonly attemptCount: number;
}

/** Totals within a window. */
export interface MetricStatistics {
  readonly readTime: Date;
  /** A whole minute. */
  readonly startTime: Date;
  /** In the order of queue, type and name; the first 1000. */
  readonly totals: readonly MetricTotal[];
  readonly totalCount: number;
}

/** Measurements of handlers. */
export interface MetricStore {
  /**
   * Stores the sums of attempts that are current, at most once for each attempt, and adds their growth to the totals. A second
   * call with the same sums, or with lower ones, changes nothing.
   */
  addMetrics(sums: readonly AttemptSums[]): Promise<readonly MetricGrowth[]>;
  metricStatistics(filter: MetricFilter): Promise<MetricStatistics>;
}
