/** Exports a worker's measurements. */
import { SCHEMA_URL } from "@muster/common/tracing/messaging-span";
import { type BatchObservableResult, type Meter, metrics, type Observable } from "@opentelemetry/api";
import { type Measures, WORKER_METRICS } from "../link/health/measures.ts";
import { SDK_NAME, SDK_VERSION } from "../version.ts";

/**
 * Exports the measurements of a worker through the OpenTelemetry SDK that the program has set up before the worker
 * started; without one nothing happens. Values are those of the last heartbeat.
 */
export class OtelMetrics {
  readonly #meter: Meter = metrics.getMeter(SDK_NAME, SDK_VERSION, { schemaUrl: SCHEMA_URL });
  readonly #observables: readonly Observable[];
  readonly #callback = (result: BatchObservableResult) => this.#observe(result);
  #last: Measures | undefined;

  constructor() {
    this.#observables = WORKER_METRICS.map(({ name, kind, help }) =>
      kind === "counter"
        ? this.#meter.createObservableCounter(name, { description: help })
        : this.#meter.createObservableGauge(name, { description: help }),
    );
    this.#meter.addBatchObservableCallback(this.#callback, [...this.#observables]);
  }

  /** Takes the newest values. */
  measured(measures: Measures): void {
    this.#last = measures;
  }

  /** The worker has ended. */
  close(): void {
    this.#meter.removeBatchObservableCallback(this.#callback, [...this.#observables]);
  }

  #observe(result: BatchObservableResult): void {
    const measures = this.#last;
    if (measures === undefined) return;
    WORKER_METRICS.forEach(({ label, read }, index) => {
      const observable = this.#observables[index];
      const value = read(measures);
      if (observable === undefined) return;
      if (typeof value === "number") result.observe(observable, value);
      else
        for (const [text, count] of Object.entries(value))
          result.observe(observable, count, { [label ?? "value"]: text });
    });
  }
}
