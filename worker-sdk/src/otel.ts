import { settledWithin } from "./clock.ts";
import { processEnvironment } from "./connection-options.ts";
import { spanIds } from "./tracing.ts";

/** How OpenTelemetry is set up; whatever an `OTEL_*` variable says wins. */
export interface OtelOptions {
  /** `service.name` unless `OTEL_SERVICE_NAME` or `OTEL_RESOURCE_ATTRIBUTES` says otherwise; default `muster-worker`. */
  readonly serviceName?: string;
}

/** A running OpenTelemetry SDK. */
export interface Otel {
  /** False when nothing is exported, because no variable asks for it or `OTEL_SDK_DISABLED` is set. */
  readonly enabled: boolean;
  /** Exports what is held back, for at most `timeoutMs` (default 5000), and ends. Never rejects; twice is harmless. */
  stop(timeoutMs?: number): Promise<void>;
}

/**
 * Sets an OpenTelemetry SDK up for this process by the standard variables, before anything is traced:
 *
 *     await startOtel();
 *
 * Nothing is loaded and nothing exported unless `OTEL_EXPORTER_OTLP_ENDPOINT`,
 * `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` or `OTEL_TRACES_EXPORTER` is set. What is left at the end of `Worker.run`
 * is exported; other programs call `stop`.
 *
 * A program with an SDK of its own does not call this; it gives that SDK `spanIds` as its `idGenerator`.
 * @throws Error when `@opentelemetry/sdk-node` or `@opentelemetry/resources` is needed and not installed.
 */
export async function startOtel(options: OtelOptions = {}): Promise<Otel> {
  if (!wanted(processEnvironment)) return { enabled: false, stop: async () => undefined };
  const { NodeSDK } = await load(() => import("@opentelemetry/sdk-node"), "@opentelemetry/sdk-node");
  const resources = await load(() => import("@opentelemetry/resources"), "@opentelemetry/resources");
  const sdk = new NodeSDK({
    serviceName: serviceName(processEnvironment, options.serviceName ?? "muster-worker"),
    idGenerator: spanIds,
    // Not the process: its detector would export the command line and what secrets stand in it.
    resourceDetectors: [resources.envDetector, resources.hostDetector],
    // Unset, they would be exported to localhost.
    ...(metricsWanted(processEnvironment) ? {} : { metricReaders: [] }),
    logRecordProcessors: [],
  });
  sdk.start();
  let stopped: Promise<void> | undefined;
  return {
    enabled: true,
    stop: (timeoutMs = 5000) => {
      stopped ??= settledWithin(sdk.shutdown(), timeoutMs).then(() => undefined);
      return stopped;
    },
  };
}

export { spanIds };

type Env = Readonly<Record<string, string | undefined>>;

function wanted(env: Env): boolean {
  if (env.OTEL_SDK_DISABLED?.toLowerCase() === "true") return false;
  const exporters = (env.OTEL_TRACES_EXPORTER ?? "").split(",").filter((name) => name.trim() !== "");
  if (exporters.length > 0) return exporters.some((name) => name.trim() !== "none");
  return Boolean(env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT || env.OTEL_EXPORTER_OTLP_ENDPOINT);
}

function metricsWanted(env: Env): boolean {
  return Boolean(
    env.OTEL_METRICS_EXPORTER || env.OTEL_EXPORTER_OTLP_METRICS_ENDPOINT || env.OTEL_EXPORTER_OTLP_ENDPOINT,
  );
}

function serviceName(env: Env, fallback: string): string {
  const attribute = /(?:^|,)\s*service\.name=([^,]+)/.exec(env.OTEL_RESOURCE_ATTRIBUTES ?? "")?.[1];
  return env.OTEL_SERVICE_NAME || (attribute === undefined ? fallback : decodeURIComponent(attribute.trim()));
}

async function load<T>(load: () => Promise<T>, name: string): Promise<T> {
  try {
    return await load();
  } catch (error) {
    if (!isNotFound(error)) throw error;
    throw new Error(`@muster/worker/otel needs ${name}: npm install ${name}`, { cause: error });
  }
}

function isNotFound(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ERR_MODULE_NOT_FOUND";
}
