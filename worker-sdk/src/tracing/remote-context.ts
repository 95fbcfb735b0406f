/** Contexts of W3C headers. */
import { parseTraceparent } from "@muster/common/tracing/trace-context";
import type { Context } from "@opentelemetry/api";
import { ROOT_CONTEXT, TraceFlags, trace } from "@opentelemetry/api";

/** The context of the W3C headers of the protocol, independent of the propagators that are set. */
export function remoteContext(traceparent: string | undefined): Context {
  const parent = parseTraceparent(traceparent);
  if (parent === undefined) return ROOT_CONTEXT;
  const { traceId, spanId, sampled } = parent;
  const traceFlags = sampled ? TraceFlags.SAMPLED : TraceFlags.NONE;
  return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags, isRemote: true });
}

/**
 * The context of a trace that is not sampled, made on first use: few handlers use it, and making one for each task
 * was most of the cost of tracing at a low sampling rate.
 */
export class UnsampledContext implements Context {
  readonly #traceparent: string;
  #made: Context | undefined;

  constructor(traceparent: string) {
    this.#traceparent = traceparent;
  }

  getValue(key: symbol): unknown {
    return this.#context().getValue(key);
  }

  setValue(key: symbol, value: unknown): Context {
    return this.#context().setValue(key, value);
  }

  deleteValue(key: symbol): Context {
    return this.#context().deleteValue(key);
  }

  #context(): Context {
    this.#made ??= remoteContext(this.#traceparent);
    return this.#made;
  }
}
