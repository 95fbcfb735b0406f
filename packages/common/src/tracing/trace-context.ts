/** The parts of a W3C `traceparent`. */
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

/** A valid one with the sampled flag clear; `parseTraceparent` has the same rules. */
const UNSAMPLED =
  /^(?!ff)(?!00.{53}-)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f][02468ace](?:-.*)?$/;

/** Longest `tracestate` that the specification requires everybody to forward. */
const MAX_TRACESTATE = 512;

/** Parses a `traceparent`; undefined when it is not valid, and then it has to be ignored. */
export function parseTraceparent(text: string | null | undefined): TraceParent | undefined {
  if (!text) return undefined;
  const [, traceId = "", spanId = "", flags = "", more] = FORM.exec(text.trim()) ?? [];
  if (traceId === "" || ZERO.test(traceId) || ZERO.test(spanId)) return undefined;
  if (more !== undefined && text.startsWith("00")) return undefined;
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

/** True for a valid `traceparent` whose producer decided not to sample the trace. Allocates no parts. */
export function isUnsampled(text: string | undefined): text is string {
  return text !== undefined && UNSAMPLED.test(text);
}

/** Formats a `traceparent`. */
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
