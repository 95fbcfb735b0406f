import type { Context } from "@opentelemetry/api";
import { ROOT_CONTEXT, TraceFlags, trace } from "@opentelemetry/api";

/** A W3C `traceparent` whose ids are valid: version, trace, span, flags, and what later versions may append. */
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?$/;

const TRACE_ID = [3, 35] as const;
const SPAN_ID = [36, 52] as const;
const FLAGS = [53, 55] as const;

/** The context of W3C headers, whatever propagators are set: it is what the protocol carries. */
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
 * The context of a trace that is not sampled. Nearly no handler looks at it, and most of tracing's cost at a
 * low rate was making one for each task: it is made when something asks.
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
