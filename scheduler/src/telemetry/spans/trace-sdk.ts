/** Starts the OpenTelemetry SDK. */
import type { SpanIds } from "@muster/common/tracing/span-ids";
import type { Resource } from "@opentelemetry/resources";
import type { IMetricReader } from "@opentelemetry/sdk-metrics";
import { NodeSDK } from "@opentelemetry/sdk-node";
import { createSampler } from "./sampler.ts";
import type { Sampling } from "./sampling.ts";

/** OpenTelemetry's SDK for metrics and traces; its exporters of spans follow the `OTEL_*` variables. */
export function createTraceSdk(options: {
  resource: Resource;
  readers: IMetricReader[];
  ids: SpanIds;
  sampling: Sampling;
}): NodeSDK {
  const { resource, readers, ids, sampling } = options;
  return new NodeSDK({
    resource,
    autoDetectResources: false,
    metricReaders: readers,
    idGenerator: ids,
    sampler: createSampler(sampling),
    // Unset, they would be exported to localhost.
    logRecordProcessors: [],
  });
}
