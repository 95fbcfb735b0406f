/** Registers the scheduler's metrics. */
import type { Meter } from "@opentelemetry/api";
import { declareCounters } from "./counter-metrics.ts";
import type { Counters } from "./counters.ts";
import type { DatabaseMeasures } from "./database-measures.ts";
import { declareGauges } from "./gauge-metrics.ts";
import type { Gauges } from "./gauge-values.ts";
import { declareHistograms } from "./histogram-metrics.ts";
import type { HistogramProducer } from "./histogram-producer.ts";

/**
 * Declares every metric of the scheduler. Names are as Prometheus shows them, so that OpenTelemetry and
 * `/metrics` agree.
 *
 * @param sources.gauges Asked once a collection.
 */
export function declareMetrics(
  meter: Meter,
  histograms: HistogramProducer,
  sources: { counters: Counters; database: DatabaseMeasures; gauges: () => Promise<Gauges> },
): void {
  const { counters, database, gauges } = sources;
  declareCounters(meter, counters, database);
  declareHistograms(histograms, counters, database);
  declareGauges(meter, database, gauges);
}
