/** The span of a submit. */
import { messagingSpan } from "@muster/common/tracing/messaging-span";
import type { Context, Span } from "@opentelemetry/api";
import { context, SpanKind, TraceFlags, trace } from "@opentelemetry/api";
import { fail, messageOf } from "./failure.ts";
import { registeredTracer } from "./provider.ts";

const METHOD = "muster.v1.TaskService/SubmitTasks";

/** Facts of a submit for its span. */
export interface TracedSubmit {
  readonly types: readonly string[];
  readonly queues: readonly string[];
  readonly address: string;
}

/** Error of a call that was refused or not answered. */
export interface CallError {
  /** Name of its gRPC code, for example `INVALID_ARGUMENT`. */
  readonly status: string;
  /** Stable reason; empty when there is none. */
  readonly reason: string;
}

/**
 * Makes a call that submits tasks inside a producer span with the span of the call as its child, whose context is
 * sent in the headers of the call; without an SDK only the call is made.
 *
 * @param taskIds Ids of the accepted tasks.
 * @param readError Reads the facts of a failure for the spans.
 */
export async function tracedSubmit<T>(
  submit: TracedSubmit,
  header: Headers,
  call: () => Promise<T>,
  taskIds: (answer: T) => readonly string[],
  readError: (error: unknown) => CallError,
): Promise<T> {
  const tracer = registeredTracer();
  if (tracer === undefined) return call();
  const [host = "", port = ""] = splitAddress(submit.address);
  const server = { "server.address": host, ...(port === "" ? {} : { "server.port": Number(port) }) };
  const [type, queue] = [onlyOf(submit.types), onlyOf(submit.queues)];
  const { name, attributes } = messagingSpan("submit", "send", queue);
  const sending = tracer.startSpan(name, {
    kind: SpanKind.PRODUCER,
    attributes: {
      ...attributes,
      ...server,
      ...(queue === undefined ? {} : { "muster.queue": queue }),
      ...(type === undefined ? {} : { "muster.task.type": type }),
      ...(submit.types.length > 1 ? { "messaging.batch.message_count": submit.types.length } : {}),
    },
  });
  const outside = trace.setSpan(context.active(), sending);
  const calling = tracer.startSpan(
    METHOD,
    {
      kind: SpanKind.CLIENT,
      attributes: { "rpc.system.name": "grpc", "rpc.method": METHOD, ...server },
    },
    outside,
  );
  const within = trace.setSpan(outside, calling);
  injectInto(header, within);
  try {
    const answer = await context.with(within, call);
    answered(calling, "OK");
    const ids = taskIds(answer);
    if (ids.length === 1 && ids[0] !== undefined)
      sending.setAttributes({ "messaging.message.id": ids[0], "muster.task.id": ids[0] });
    return answer;
  } catch (error) {
    const { status, reason } = readError(error);
    answered(calling, status);
    for (const span of [calling, sending]) {
      fail(span, status, messageOf(error));
      if (reason !== "") span.setAttribute("muster.reason", reason);
    }
    throw error;
  } finally {
    calling.end();
    sending.end();
  }
}

/** @param status Name of a gRPC code. Its attribute was renamed with version 1.45 of the conventions. */
function answered(span: Span, status: string): void {
  span.setAttributes({ "rpc.status_code": status, "rpc.response.status_code": status });
}

/** The value when all are equal; undefined otherwise. */
function onlyOf(values: readonly string[]): string | undefined {
  return new Set(values).size === 1 ? values[0] : undefined;
}

function injectInto(header: Headers, within: Context): void {
  const span = trace.getSpanContext(within);
  if (span === undefined || header.has("traceparent")) return;
  const flags = (span.traceFlags & TraceFlags.SAMPLED) === 0 ? "00" : "01";
  header.set("traceparent", `00-${span.traceId}-${span.spanId}-${flags}`);
  const state = span.traceState?.serialize();
  if (state) header.set("tracestate", state);
}

function splitAddress(address: string): string[] {
  const at = address.lastIndexOf(":");
  return at < 0 ? [address] : [address.slice(0, at), address.slice(at + 1)];
}
