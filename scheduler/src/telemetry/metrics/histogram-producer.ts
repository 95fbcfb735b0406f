/** Exports distributions as OpenTelemetry histograms. */
import { SCHEMA_URL } from "@muster/common/tracing/messaging-span";
import { type Attributes, type HrTime, ValueType } from "@opentelemetry/api";
import { emptyResource } from "@opentelemetry/resources";
import {
  AggregationTemporality,
  type CollectionResult,
  DataPointType,
  type HistogramMetricData,
  type MetricProducer,
} from "@opentelemetry/sdk-metrics";
import type { Clock } from "../../clock.ts";
import { VERSION } from "../../version.ts";
import type { Distribution } from "./distribution.ts";

/** A histogram as OpenTelemetry collects it: distributions by their labels. */
export interface HistogramSource {
  readonly name: string;
  readonly description: string;
  readonly series: () => Iterable<readonly [labels: Attributes, distribution: Distribution]>;
}

/**
 * Hands histograms that were aggregated elsewhere to the SDK's readers: the specification's bridge for
 * measurements that do not pass through its instruments.
 */
export class HistogramProducer implements MetricProducer {
  readonly #sources: HistogramSource[] = [];
  readonly #scope: string;
  readonly #clock: Clock;
  readonly #startTime: HrTime;

  constructor(scope: string, clock: Clock) {
    this.#scope = scope;
    this.#clock = clock;
    this.#startTime = hrTime(clock.now());
  }

  add(source: HistogramSource): void {
    this.#sources.push(source);
  }

  async collect(): Promise<CollectionResult> {
    const endTime = hrTime(this.#clock.now());
    const metrics = this.#sources.map((source) => this.#metric(source, endTime));
    return {
      resourceMetrics: {
        resource: emptyResource(),
        scopeMetrics: [{ scope: { name: this.#scope, version: VERSION, schemaUrl: SCHEMA_URL }, metrics }],
      },
      errors: [],
    };
  }

  #metric({ name, description, series }: HistogramSource, endTime: HrTime): HistogramMetricData {
    return {
      descriptor: { name, description, unit: "s", valueType: ValueType.DOUBLE },
      aggregationTemporality: AggregationTemporality.CUMULATIVE,
      dataPointType: DataPointType.HISTOGRAM,
      dataPoints: [...series()].map(([attributes, { bounds, counts, sum, count }]) => ({
        startTime: this.#startTime,
        endTime,
        attributes,
        value: { buckets: { boundaries: [...bounds], counts: [...counts] }, sum, count },
      })),
    };
  }
}

function hrTime(ms: number): HrTime {
  return [Math.floor(ms / 1_000), Math.round((ms % 1_000) * 1e6)];
}
