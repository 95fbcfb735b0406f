/**
 * Traces by OpenTelemetry. It needs the packages @opentelemetry/sdk-node and @opentelemetry/resources.
 *
 * @module @muster/worker/otel
 */

// First: nothing else of this package is evaluated on a Node that lacks what it uses.
import "../node-version.ts";

import { randomUUID } from "node:crypto";
import { SCHEMA_URL } from "@muster/common/tracing/messaging-span";
import { DiagLogLevel, diag } from "@opentelemetry/api";
import { settledWithin } from "../clock.ts";
import { defaultVariable, processEnvironment } from "../options/connection-options.ts";
import { type OptionNames, unknownOptions } from "../options/known-options.ts";
import { OptionsError } from "../options/options-error.ts";
import { SDK_VERSION } from "../version.ts";
import { spanIds } from "./span-ids.ts";

const NAMES: OptionNames<OtelOptions> = {
  serviceName: true,
  serviceVersion: true,
  exportTimeoutMs: true,
  onError: true,
};

/** Options of `startOtel()`. The standard `OTEL_*` variables win over them. */
export interface OtelOptions {
  /** `service.name`; `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` win. @default `muster-worker` */
  readonly serviceName?: string;
  /** `service.version`; `OTEL_RESOURCE_ATTRIBUTES` wins. @default the version of this package */
  readonly serviceVersion?: string;
  /**
   * Longest time for one export, in milliseconds; `OTEL_EXPORTER_OTLP_TIMEOUT` wins. The end of the program may wait as
   * long for a collector that does not answer.
   * @default 10,000, as the standard has it
   */
  readonly exportTimeoutMs?: number;
  /**
   * Called once, with the first error: mostly that the collector cannot be reached. With `OTEL_LOG_LEVEL` set,
   * OpenTelemetry itself writes to the console.
   * @default a warning of the process
   */
  readonly onError?: (why: string) => void;
}

/** Optional peers of the package: programs that trace install them. */
const PEERS = ["@opentelemetry/sdk-node", "@opentelemetry/resources"];

/** Longest error text that is passed on, in characters: exporters append whole responses. */
const MAX_REASON = 500;

/** The OpenTelemetry SDK that `startOtel()` started. */
export interface Otel {
  /** False when nothing is exported, because no variable asks for it or `OTEL_SDK_DISABLED` is set. */
  readonly enabled: boolean;
  /**
   * Exports the spans that are still buffered, and ends the SDK. Never rejects; a second call does nothing.
   *
   * @param timeoutMs Longest time for it, in milliseconds; default 5000.
   */
  stop(timeoutMs?: number): Promise<void>;
}

/**
 * Sets up an OpenTelemetry SDK for this process by the standard variables; call it before anything is traced. Nothing
 * is loaded and nothing exported unless `OTEL_EXPORTER_OTLP_ENDPOINT`,
 * `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` or `OTEL_TRACES_EXPORTER` is set. `Worker.run()` exports the buffered spans at
 * its end; other programs call `stop()`. A program with an SDK of its own does not call this: it passes `spanIds` to
 * that SDK as its `idGenerator`.
 *
 * @example
 * ```ts
 * import { Worker } from "@muster/worker";
 * import { startOtel } from "@muster/worker/otel";
 *
 * await startOtel({ serviceName: "ocr" });
 * await new Worker({ tasks }).run();
 * ```
 *
 * @throws Error when `@opentelemetry/sdk-node` or `@opentelemetry/resources` is needed and not installed.
 */
export async function startOtel(options: OtelOptions = {}): Promise<Otel> {
  const unknown = unknownOptions(options, NAMES);
  if (unknown.length > 0) throw new OptionsError("startOtel", unknown);
  if (!wanted(processEnvironment)) return { enabled: false, stop: async () => undefined };
  const { NodeSDK } = await load(() => import("@opentelemetry/sdk-node"), "@opentelemetry/sdk-node");
  const resources = await load(() => import("@opentelemetry/resources"), "@opentelemetry/resources");
  if (options.exportTimeoutMs !== undefined)
    defaultVariable("OTEL_EXPORTER_OTLP_TIMEOUT", String(options.exportTimeoutMs));
  const sdk = new NodeSDK({
    // What the environment says wins. Without an instance of its own, one process's series would be another's.
    resource: resources.defaultResource().merge(
      resources.resourceFromAttributes(
        {
          "service.version": options.serviceVersion ?? SDK_VERSION,
          "service.instance.id": randomUUID(),
        },
        { schemaUrl: SCHEMA_URL },
      ),
    ),
    serviceName: serviceName(processEnvironment, options.serviceName ?? "muster-worker"),
    idGenerator: spanIds,
    // Not the process: its detector would export the command line and what secrets stand in it.
    resourceDetectors: [resources.envDetector, resources.hostDetector],
    // Unset, they would be exported to localhost.
    ...(metricsWanted(processEnvironment) ? {} : { metricReaders: [] }),
    logRecordProcessors: [],
  });
  const failed = once(options.onError ?? warn);
  // After the SDK's constructor, which under OTEL_LOG_LEVEL takes the console.
  if (!processEnvironment.OTEL_LOG_LEVEL) tellErrors(failed);
  sdk.start();
  let stopped: Promise<void> | undefined;
  return {
    enabled: true,
    stop: (timeoutMs = 5000) => {
      if (stopped) return stopped;
      const over = sdk.shutdown().catch((error: unknown) => failed(messageOf(error)));
      stopped = settledWithin(over, timeoutMs).then((inTime) => {
        if (!inTime) failed(`the collector took longer than ${timeoutMs} ms for what was left`);
      });
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

/** What the SDK says of failed exports is an exception as JSON. */
function tellErrors(failed: (why: string) => void): void {
  const quiet = () => undefined;
  diag.setLogger(
    {
      error: (text: string) => failed(reasonIn(text)),
      ...{ warn: quiet, info: quiet, debug: quiet, verbose: quiet },
    },
    { logLevel: DiagLogLevel.ERROR, suppressOverrideMessage: true },
  );
}

function reasonIn(text: string): string {
  const { message, code } = parsed(text);
  return String(message || code || text).slice(0, MAX_REASON);
}

function parsed(text: string): { readonly message?: unknown; readonly code?: unknown } {
  try {
    return Object(JSON.parse(text));
  } catch {
    // It is a sentence.
    return {};
  }
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // A connection refused at several addresses has the reasons inside, and no message of its own.
  const inner = error instanceof AggregateError ? error.errors.map(messageOf).join("; ") : "";
  return (error.message || inner || error.name).slice(0, MAX_REASON);
}

function once(call: (why: string) => void): (why: string) => void {
  let called = false;
  return (why) => {
    if (called) return;
    called = true;
    call(why);
  };
}

function warn(why: string): void {
  process.emitWarning(`OpenTelemetry: ${why}. Only the first problem is reported.`, { code: "MUSTER_OTEL" });
}

async function load<T>(load: () => Promise<T>, name: string): Promise<T> {
  try {
    return await load();
  } catch (error) {
    if (!isNotFound(error)) throw error;
    throw new Error(`@muster/worker/otel needs ${name}: npm install ${PEERS.join(" ")}`, { cause: error });
  }
}

function isNotFound(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ERR_MODULE_NOT_FOUND";
}
