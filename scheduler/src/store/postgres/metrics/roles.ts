/** The role of the store that this folder implements: what handlers measured. */
import type { MetricStore } from "../../metrics.ts";
import type { Database } from "../connection/database.ts";
import { addMetrics } from "./add.ts";
import { metricStatistics } from "./totals.ts";

export function metricStore(db: Database): MetricStore {
  return {
    addMetrics: (sums) => addMetrics(db, sums),
    metricStatistics: (filter) => metricStatistics(db, filter),
  };
}
