import type { Context } from "@opentelemetry/api";
import { context, SpanKind, TraceFlags, trace } from "@opentelemetry/api";
import { fail, messageOf } from "./failure.ts";
import { registeredTracer } from "./provider.ts";

/** A submit as its span tells of it. */
export interface TracedSubmit {
  readonly types: readonly string[];
  readonly queues: readonly string[];
  readonly address: string;
}

/**
 * Makes a call that submits tasks inside a producer's span, whose context goes along in the call's headers;
 * without an SDK, the call alone.
 *
 * @param taskIds Ids of the accepted tasks.
 * @param typeOf What kind of failure the call ran into, for `error.type`.
 */
export async function tracedSubmit<T>(
  submit: TracedSubmit,
  header: Headers,
  call: () => Promise<T>,
  taskIds: (answer: T) => readonly string[],
  typeOf: (error: unknown) => string,
): Promise<T> {
  const tracer = registeredTracer();
  if (tracer === undefined) return call();
  const [type, ...otherTypes] = new Set(submit.types);
  const [queue, ...otherQueues] = new Set(submit.queues);
  const [host = "", port = ""] = splitAddress(submit.address);
  const span = tracer.startSpan(`submit ${otherTypes.length === 0 ? (type ?? "batch") : "batch"}`, {
    kind: SpanKind.PRODUCER,
    attributes: {
      "messaging.system": "muster",
      "messaging.operation.name": "submit",
      "messaging.operation.type": "send",
      "rpc.system.name": "grpc",
      "rpc.method": "muster.v1.TaskService/SubmitTasks",
      "server.address": host,
      ...(port === "" ? {} : { "server.port": Number(port) }),
      ...(queue !== undefined && otherQueues.length === 0 ? { "messaging.destination.name": queue } : {}),
      ...(type !== undefined && otherTypes.length === 0 ? { "muster.task.type": type } : {}),
      ...(submit.types.length > 1 ? { "messaging.batch.message_count": submit.types.length } : {}),
    },
  });
  const within = trace.setSpan(context.active(), span);
  injectInto(header, within);
  try {
    const answer = await context.with(within, call);
    const ids = taskIds(answer);
    if (ids.length === 1 && ids[0] !== undefined)
      span.setAttributes({ "messaging.message.id": ids[0], "muster.task.id": ids[0] });
    return answer;
  } catch (error) {
    fail(span, typeOf(error), messageOf(error));
    throw error;
  } finally {
    span.end();
  }
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
