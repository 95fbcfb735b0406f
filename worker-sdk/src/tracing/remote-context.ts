import type { Context } from "@opentelemetry/api";
import { ROOT_CONTEXT, TraceFlags, trace } from "@opentelemetry/api";

/** A W3C `traceparent` whose ids are valid: version, trace, span, flags, and what later versions may append. */
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?$/;

const TRACE_ID = [3, 35] as const;
const SPAN_ID = [36, 52] as const;
const FLAGS = [53, 55] as const;

/** The context of the W3C headers of the protocol, independent of the propagators that are set. */
export function remoteContext(traceparent: string | undefined): Context {
  if (traceparent === undefined || !TRACEPARENT.test(traceparent)) return ROOT_CONTEXT;
  return trace.setSpanContext(ROOT_CONTEXT, {
    traceId: traceparent.slice(...TRACE_ID),
    spanId: traceparent.slice(...SPAN_ID),
    traceFlags: flagsOf(traceparent),
    isRemote: true,
  });
}

/** True when the headers name a trace whose producer decided not to sample it. */
export function isUnsampled(traceparent: string | undefined): traceparent is string {
  return (
    traceparent !== undefined && TRACEPARENT.test(traceparent) && flagsOf(traceparent) === TraceFlags.NONE
  );
}

function flagsOf(traceparent: string): TraceFlags {
  return Number.parseInt(traceparent.slice(...FLAGS), 16) & TraceFlags.SAMPLED;
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
