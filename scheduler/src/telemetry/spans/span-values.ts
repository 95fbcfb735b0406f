/** Converts span contexts and times to OpenTelemetry's types. */
import type { TraceParent } from "@muster/common/tracing/trace-context";
import { type Context, type HrTime, type SpanContext, TraceFlags, trace } from "@opentelemetry/api";

/** `around` with a span of elsewhere as the parent. */
export function within(parent: TraceParent, around: Context): Context {
  return trace.setSpanContext(around, { ...spanContext(parent), isRemote: true });
}

export function spanContext({ traceId, spanId, sampled }: TraceParent): SpanContext {
  return { traceId, spanId, traceFlags: sampled ? TraceFlags.SAMPLED : TraceFlags.NONE };
}

/** OpenTelemetry takes a small number for a time since the process's start, so it is given seconds and rest. */
export function hrTime(ms: number): HrTime {
  const seconds = Math.floor(ms / 1_000);
  return [seconds, Math.round((ms - seconds * 1_000) * 1e6)];
}
