/** Starts spans of calls, and propagates their context. */
import type { SpanIds } from "@muster/common/tracing/span-ids";
import {
  context,
  createContextKey,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from "@opentelemetry/api";
import type { NewTask } from "../../domain/tasks/task.ts";
import type { SpanRecord } from "./span-record.ts";
import { hrTime, spanContext, within } from "./span-values.ts";
import { type Accepted, inCall, SubmitSpans } from "./submit-spans.ts";

/** Marks a context whose span is recorded: its trace was sampled where it began, perhaps in another process. */
export const DECIDED = createContextKey("muster: sampled");

/** Writes spans. Without an exporter it only passes the producers' context on. */
export interface Tracing {
  /** False: no span is recorded, so that callers need not collect attributes. */
  readonly enabled: boolean;
  /**
   * Accepts tasks within the span of their submit.
   *
   * @param call Headers of the call: gRPC metadata or HTTP headers.
   * @param accept Gets the tasks with their trace context.
   */
  submit<R extends Accepted>(
    call: Headers,
    tasks: readonly NewTask[],
    accept: (tasks: readonly NewTask[]) => Promise<R[]>,
  ): Promise<R[]>;
  /** Writes spans that are over. */
  write(spans: readonly SpanRecord[]): void;
}

/** Passes the producers' context on and records nothing. */
export const noTracing: Tracing = {
  enabled: false,
  submit: (call, tasks, accept) => accept(tasks.map((task) => inCall(task, call))),
  write: () => undefined,
};

const KINDS = {
  internal: SpanKind.INTERNAL,
  client: SpanKind.CLIENT,
  consumer: SpanKind.CONSUMER,
} as const;

/** Records by the provider that the SDK has registered, with ids of `ids`. */
export function createTracing(tracer: Tracer, ids: SpanIds, now: () => number): Tracing {
  return {
    enabled: true,
    async submit(call, tasks, accept) {
      const submit = new SubmitSpans(tracer, call, tasks);
      const startMs = now();
      try {
        const accepted = await context.with(submit.context, () => accept(submit.tasks(now())));
        submit.accepted(accepted, startMs, now());
        return accepted;
      } catch (error) {
        submit.refused(error);
        throw error;
      } finally {
        submit.end();
      }
    },
    write(spans) {
      for (const record of spans) write(tracer, ids, record);
    },
  };
}

function write(tracer: Tracer, ids: SpanIds, record: SpanRecord): void {
  const decided = ROOT_CONTEXT.setValue(DECIDED, true);
  const span = ids.give(record.self, () =>
    tracer.startSpan(
      record.name,
      {
        kind: KINDS[record.kind],
        startTime: hrTime(record.startMs),
        attributes: record.attributes,
        links: (record.links ?? []).map(({ to, attributes }) => ({ context: spanContext(to), attributes })),
      },
      record.parent ? within(record.parent, decided) : decided,
    ),
  );
  for (const { name, atMs, attributes } of record.events ?? []) span.addEvent(name, attributes, hrTime(atMs));
  if (record.error) {
    span.setAttribute("error.type", record.error.type);
    span.setStatus({ code: SpanStatusCode.ERROR, message: record.error.message });
  }
  span.end(hrTime(Math.max(record.startMs, record.endMs)));
}

/** Ids of the active span for a log line, or nothing. */
export function activeSpanFields(): { trace_id: string; span_id: string } | Record<string, never> {
  const active = trace.getActiveSpan()?.spanContext();
  return active ? { trace_id: active.traceId, span_id: active.spanId } : {};
}
