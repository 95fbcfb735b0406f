/** The tracer of the SDK. */
import { SCHEMA_URL } from "@muster/common/tracing/messaging-span";
import type { Tracer, TracerProvider } from "@opentelemetry/api";
import { ProxyTracerProvider, trace } from "@opentelemetry/api";
import { SDK_VERSION } from "../version.ts";

/** Instrumentation scope of the SDK's spans. */
const SCOPE = "@muster/worker";

/** Tracer of the last provider, cached: a provider builds a key for every lookup. */
let known: { readonly provider: TracerProvider; readonly tracer: Tracer } | undefined;

/** The registered SDK's tracer; undefined when none is registered. */
export function registeredTracer(): Tracer | undefined {
  const global = trace.getTracerProvider();
  // The proxy returns its own tracer until an SDK is registered; only that of the delegate makes spans.
  const provider = global instanceof ProxyTracerProvider ? global.getDelegate() : global;
  if (known?.provider === provider) return known.tracer;
  const tracer =
    global instanceof ProxyTracerProvider
      ? global.getDelegateTracer(SCOPE, SDK_VERSION, { schemaUrl: SCHEMA_URL })
      : global.getTracer(SCOPE, SDK_VERSION, { schemaUrl: SCHEMA_URL });
  if (tracer !== undefined) known = { provider, tracer };
  return tracer;
}

/** True when an OpenTelemetry SDK is registered: the worker then writes the spans of its runs. */
export function isTracing(): boolean {
  return registeredTracer() !== undefined;
}

/** Exports the spans that the registered SDK has buffered, within its own limits. */
export async function flushSpans(): Promise<void> {
  const provider = trace.getTracerProvider();
  const delegate: object = provider instanceof ProxyTracerProvider ? provider.getDelegate() : provider;
  if (!("forceFlush" in delegate) || typeof delegate.forceFlush !== "function") return;
  await delegate.forceFlush();
}
