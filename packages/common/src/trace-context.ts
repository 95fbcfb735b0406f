/** A span as other processes name it: the W3C `traceparent`, taken apart. */
export interface TraceParent {
  /** 32 hexadecimal digits, not all zero. */
  readonly traceId: string;
  /** 16 hexadecimal digits, not all zero. */
  readonly spanId: string;
  readonly sampled: boolean;
}

/** Names of the W3C headers. */
export const TRACEPARENT = "traceparent";
export const TRACESTATE = "tracestate";

/** Version 00, and what later versions may append. */
const FORM = /^(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const ZERO = /^0+$/;

/** What the specification asks everybody to carry. */
const MAX_TRACESTATE = 512;

/** The context that a `traceparent` names, or undefined when it is none: it is then ignored, as W3C asks. */
export function parseTraceparent(text: string | null | undefined): TraceParent | undefined {
  if (!text) return undefined;
  const [, traceId = "", spanId = "", flags = "", more] = FORM.exec(text.trim()) ?? [];
  if (traceId === "" || ZERO.test(traceId) || ZERO.test(spanId)) return undefined;
  if (more !== undefined && text.startsWith("00")) return undefined;
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

/** The `traceparent` of a context. */
export function formatTraceparent({ traceId, spanId, sampled }: TraceParent): string {
  return `00-${traceId}-${spanId}-${sampled ? "01" : "00"}`;
}

type Headers = Readonly<Record<string, string>>;

/**
 * A task's headers with the trace context of the call that submits it. The task's own context wins; a
 * context that is not valid is not taken over.
 */
export function withCallContext(headers: Headers | undefined, call: Pick<globalThis.Headers, "get">) {
  if (headers?.[TRACEPARENT] !== undefined) return headers;
  const traceparent = call.get(TRACEPARENT)?.trim();
  if (traceparent === undefined || !parseTraceparent(traceparent)) return headers;
  const tracestate = call.get(TRACESTATE)?.trim();
  return {
    ...headers,
    [TRACEPARENT]: traceparent,
    ...(tracestate && tracestate.length <= MAX_TRACESTATE ? { [TRACESTATE]: tracestate } : {}),
  };
}
