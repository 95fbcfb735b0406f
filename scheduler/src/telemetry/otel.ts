/** Starts and stops the telemetry of the scheduler. */
import { hostname } from "node:os";
import { SCHEMA_URL } from "@muster/common/tracing/messaging-span";
import { SpanIds } from "@muster/common/tracing/span-ids";
import { context, DiagLogLevel, diag, type Meter, metrics, propagation, trace } from "@opentelemetry/api";
import { PrometheusSerializer } from "@opentelemetry/exporter-prometheus";
import {
  defaultResource,
  detectResources,
  envDetector,
  type Resource,
  resourceFromAttributes,
} from "@opentelemetry/resources";
import {
  type IMetricReader,
  MeterProvider,
  type MetricProducer,
  MetricReader,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import {
  ATTR_SERVICE_INSTANCE_ID,
  ATTR_SERVICE_NAME,
  ATTR_SERVICE_VERSION,
} from "@opentelemetry/semantic-conventions";
import type { Clock } from "../clock.ts";
import { VERSION } from "../version.ts";
import type { Exports, OtlpMetrics } from "./exports.ts";
import { diagnostics } from "./logs/diagnostics.ts";
import type { Logger } from "./logs/logger.ts";
import { createTracing, noTracing, type Tracing } from "./spans/tracing.ts";

/** Instrumentation scope of everything that the scheduler measures and traces. */
export const SCOPE = "muster-scheduler";

/** Series an instrument may have, whatever went wrong with the labels above it. */
const MAX_SERIES = 10_000;

/** The running OpenTelemetry SDK. */
export interface Telemetry {
  readonly meter: Meter;
  readonly tracing: Tracing;
  /** Everything measured, in the Prometheus text format. Undefined when `OTEL_SDK_DISABLED` is set. */
  scrape(): Promise<string | undefined>;
  /** Exports what is held back and ends; gives up after `timeoutMs`. Safe to call twice. */
  stop(timeoutMs: number): Promise<void>;
}

/**
 * Starts the SDK by the standard `OTEL_*` variables, which win over the values here. A process has one.
 *
 * @param options.instanceId `service.instance.id` unless `OTEL_RESOURCE_ATTRIBUTES` names another.
 * @param options.producers Measurements that are aggregated elsewhere, for every reader.
 */
export async function startTelemetry(options: {
  instanceId: string;
  exports: Exports;
  producers?: readonly MetricProducer[];
  log: Logger;
  clock: Clock;
}): Promise<Telemetry> {
  const { instanceId, exports, log, clock } = options;
  const producers = [...(options.producers ?? [])];
  const scraped = new ScrapeReader(producers);
  const readers: IMetricReader[] = [scraped];
  if (exports.metrics) readers.push(await pushReader(exports.metrics, producers));
  const ids = new SpanIds();
  // The process detector would export the command line, where --token and --database-url may stand.
  const resource = resourceOf(instanceId).merge(detectResources({ detectors: [envDetector] }));
  const sdk = await createSdk(exports, { resource, readers, ids });
  // After the SDK's constructor, which under OTEL_LOG_LEVEL takes the console.
  diag.setLogger(diagnostics(log, clock), { logLevel: diagLevel(log), suppressOverrideMessage: true });
  sdk.start();
  const serializer = new PrometheusSerializer(undefined, false, undefined, false, true);
  let stopped: Promise<void> | undefined;
  return {
    meter: metrics.getMeter(SCOPE, VERSION, { schemaUrl: SCHEMA_URL }),
    tracing: exports.traces
      ? createTracing(
          trace.getTracerProvider().getTracer(SCOPE, VERSION, { schemaUrl: SCHEMA_URL }),
          ids,
          () => clock.now(),
        )
      : noTracing,
    scrape: async () => {
      if (!exports.enabled) return undefined;
      const { resourceMetrics, errors } = await scraped.collect();
      for (const error of errors) log.error("telemetry.not_collected", { error });
      return serializer.serialize(resourceMetrics);
    },
    stop: (timeoutMs) => {
      stopped ??= stop(sdk, timeoutMs, log, clock);
      return stopped;
    },
  };
}

function resourceOf(instanceId: string): Resource {
  return defaultResource().merge(
    resourceFromAttributes(
      {
        [ATTR_SERVICE_NAME]: SCOPE,
        [ATTR_SERVICE_VERSION]: VERSION,
        [ATTR_SERVICE_INSTANCE_ID]: instanceId,
        "host.name": hostname(),
        "process.pid": process.pid,
      },
      { schemaUrl: SCHEMA_URL },
    ),
  );
}

/** What `startTelemetry` starts and stops. */
interface Sdk {
  start(): void;
  shutdown(): Promise<void>;
}

/** Without traces metrics are enough: the SDK for both loads 200 modules more, 0.2 s of a core. */
async function createSdk(
  exports: Exports,
  { resource, readers, ids }: { resource: Resource; readers: IMetricReader[]; ids: SpanIds },
): Promise<Sdk> {
  if (!exports.enabled) return { start: () => undefined, shutdown: async () => undefined };
  if (exports.traces) {
    const { createTraceSdk } = await import("./spans/trace-sdk.ts");
    return createTraceSdk({ resource, readers, ids, sampling: exports.traces });
  }
  const provider = new MeterProvider({ resource, readers });
  return {
    start: () => void metrics.setGlobalMeterProvider(provider),
    shutdown: () => provider.shutdown(),
  };
}

/** Collects when `/metrics` is read. */
class ScrapeReader extends MetricReader {
  constructor(producers: MetricProducer[]) {
    super({ cardinalitySelector: () => MAX_SERIES, metricProducers: producers });
  }

  protected override async onShutdown(): Promise<void> {}

  protected override async onForceFlush(): Promise<void> {}
}

/** The exporters load only when they are needed: each costs some 25 MB. */
async function pushReader(
  { protocol, intervalMs, timeoutMs }: OtlpMetrics,
  producers: MetricProducer[],
): Promise<MetricReader> {
  const { OTLPMetricExporter } =
    protocol === "grpc"
      ? await import("@opentelemetry/exporter-metrics-otlp-grpc")
      : protocol === "http/json"
        ? await import("@opentelemetry/exporter-metrics-otlp-http")
        : await import("@opentelemetry/exporter-metrics-otlp-proto");
  return new PeriodicExportingMetricReader({
    exporter: new OTLPMetricExporter(),
    exportIntervalMillis: intervalMs,
    exportTimeoutMillis: timeoutMs,
    cardinalityLimits: { default: MAX_SERIES },
    metricProducers: producers,
  });
}

async function stop(sdk: Sdk, timeoutMs: number, log: Logger, clock: Clock): Promise<void> {
  const over = new AbortController();
  try {
    const late = clock.sleep(timeoutMs, over.signal).then(() => "late" as const);
    if ((await Promise.race([sdk.shutdown(), late])) === "late")
      log.warn("telemetry.not_flushed", { waited_ms: Math.round(timeoutMs) });
  } catch (error) {
    log.warn("telemetry.not_flushed", { error });
  } finally {
    over.abort();
    // The next scheduler of this process starts an SDK of its own.
    for (const api of [trace, metrics, context, propagation, diag]) api.disable();
  }
}

function diagLevel(log: Logger): DiagLogLevel {
  return log.debugEnabled ? DiagLogLevel.INFO : DiagLogLevel.WARN;
}
