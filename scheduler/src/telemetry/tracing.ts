import {
  type Context,
  context,
  type HrTime,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  type Tracer,
  trace,
} from "@opentelemetry/api";
import { DatabaseUnavailableError, Refusal } from "../domain/errors.ts";
import { formatTaskId } from "../domain/ids.ts";
import type { NewTask } from "../domain/task.ts";
import type { TaskTrace } from "../domain/trace.ts";
import { MESSAGING, MUSTER, SYSTEM } from "./attributes.ts";
import { DECIDED } from "./sampling.ts";
import type { SpanIds } from "./span-ids.ts";
import type { SpanRecord } from "./span-record.ts";
import { parseTraceparent, TRACEPARENT, type TraceParent, withCallContext } from "./trace-context.ts";

/** What a submit answers for one task. */
interface Accepted {
  readonly id: number;
  readonly duplicate: boolean;
}

/** Writes spans. Without an exporter it only passes the producers' context on. */
export interface Tracing {
  /** False: nothing is recorded, and nobody need gather what would be. */
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

/** Attribute of how a call ended. */
const STATUS_CODE = "rpc.response.status_code";

/** Records by the provider that the SDK has registered, with ids of `ids`. */
export function createTracing(tracer: Tracer, ids: SpanIds, now: () => number): Tracing {
  return {
    enabled: true,
    async submit(call, tasks, accept) {
      const submit = new Submit(tracer, call, tasks);
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

/**
 * The spans of one call that submits tasks: one for each trace that its tasks belong to, and most calls
 * belong to one. A trace that its producer does not sample costs nothing but the look at its flag.
 */
class Submit {
  readonly #tasks: readonly NewTask[];
  readonly #spans = new Map<string, Span>();
  readonly #tracer: Tracer;
  readonly context: Context;

  constructor(tracer: Tracer, call: Headers, tasks: readonly NewTask[]) {
    this.#tracer = tracer;
    this.#tasks = tasks.map((task) => inCall(task, call));
    const batches = new Map<string, NewTask[]>();
    for (const task of this.#tasks) {
      const key = task.headers?.[TRACEPARENT] ?? "";
      const batch = batches.get(key);
      if (batch) batch.push(task);
      else batches.set(key, [task]);
    }
    for (const [key, batch] of batches) {
      const parent = parseTraceparent(key);
      if (parent && !parent.sampled) continue;
      const span = tracer.startSpan(
        `submit ${sameOf(batch, ({ type }) => type) ?? "batch"}`,
        { kind: SpanKind.SERVER, attributes: submitAttributes(call, batch, parent !== undefined) },
        parent ? within(parent, ROOT_CONTEXT) : ROOT_CONTEXT,
      );
      if (span.isRecording()) this.#spans.set(key, span);
    }
    const [first] = this.#spans.values();
    this.context = first ? trace.setSpan(context.active(), first) : context.active();
  }

  /** The tasks as they are kept: those of a recorded trace carry their submit span. */
  tasks(nowMs: number): NewTask[] {
    if (this.#spans.size === 0) return [...this.#tasks];
    return this.#tasks.map((task) => {
      const span = this.#spans.get(task.headers?.[TRACEPARENT] ?? "");
      if (!span) return task;
      const { traceId, spanId } = span.spanContext();
      const dueMs = task.runAtMs ?? (task.delayMs === undefined ? undefined : nowMs + task.delayMs);
      const kept: TaskTrace = {
        parent: `00-${traceId}-${spanId}-01`,
        ...(dueMs !== undefined && dueMs > nowMs ? { dueMs } : {}),
      };
      return { ...task, options: { ...task.options, trace: kept } };
    });
  }

  accepted(accepted: readonly Accepted[], startMs: number, endMs: number): void {
    const [only, ...others] = accepted;
    for (const span of this.#spans.values()) {
      span.setAttribute(STATUS_CODE, "OK");
      if (only && others.length === 0) {
        const taskId = formatTaskId(only.id);
        span.setAttributes({ [MESSAGING.messageId]: taskId, [MUSTER.taskId]: taskId });
        if (only.duplicate) span.addEvent("duplicate", { [MUSTER.taskId]: taskId });
      }
      this.#tracer
        .startSpan(
          "insert task",
          {
            kind: SpanKind.CLIENT,
            startTime: hrTime(startMs),
            attributes: {
              "db.system.name": "postgresql",
              "db.operation.name": "INSERT",
              "db.collection.name": "task",
              ...(accepted.length > 1 ? { "db.operation.batch.size": accepted.length } : {}),
            },
          },
          trace.setSpan(ROOT_CONTEXT, span),
        )
        .end(hrTime(endMs));
    }
  }

  refused(error: unknown): void {
    const type = error instanceof Error ? (hasReason(error) ? error.reason : error.name) : "UNKNOWN";
    const message = error instanceof Error ? error.message : String(error);
    for (const span of this.#spans.values()) {
      span.setAttribute("error.type", type);
      span.setAttribute(STATUS_CODE, statusOf(error));
      span.setStatus({ code: SpanStatusCode.ERROR, message });
    }
  }

  end(): void {
    for (const span of this.#spans.values()) span.end();
  }
}

/** @param isSent The producer has a span of its own for the sending: there is one of them for each submit. */
function submitAttributes(call: Headers, batch: readonly NewTask[], isSent: boolean) {
  const grpc = call.get("content-type")?.startsWith("application/grpc") ?? true;
  const queue = sameOf(batch, (task) => task.queue);
  const type = sameOf(batch, (task) => task.type);
  return {
    "rpc.system.name": grpc ? "grpc" : "connectrpc",
    "rpc.method": "muster.v1.TaskService/SubmitTasks",
    [MESSAGING.system]: SYSTEM,
    [MESSAGING.operationName]: "submit",
    ...(isSent ? {} : { [MESSAGING.operationType]: "send" }),
    ...(queue === undefined ? {} : { [MESSAGING.destination]: queue }),
    ...(type === undefined ? {} : { [MUSTER.taskType]: type }),
    ...(batch.length > 1 ? { [MESSAGING.batchCount]: batch.length } : {}),
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

function inCall(task: NewTask, call: Headers): NewTask {
  const headers = withCallContext(task.headers, call);
  return headers === task.headers ? task : { ...task, headers };
}

function within(parent: TraceParent, around: Context): Context {
  return trace.setSpanContext(around, { ...spanContext(parent), isRemote: true });
}

function spanContext({ traceId, spanId, sampled }: TraceParent) {
  return { traceId, spanId, traceFlags: sampled ? TraceFlags.SAMPLED : TraceFlags.NONE };
}

/** OpenTelemetry takes a small number for a time since the process's start, so it is given seconds and rest. */
function hrTime(ms: number): HrTime {
  const seconds = Math.floor(ms / 1_000);
  return [seconds, Math.round((ms - seconds * 1_000) * 1e6)];
}

function sameOf<T>(items: readonly NewTask[], pick: (task: NewTask) => T): T | undefined {
  const [first] = items;
  if (!first) return undefined;
  const value = pick(first);
  return items.every((item) => pick(item) === value) ? value : undefined;
}

/** How the call ends, by the name of its gRPC code. */
function statusOf(error: unknown): string {
  if (error instanceof DatabaseUnavailableError) return "UNAVAILABLE";
  return error instanceof Refusal ? error.kind.toUpperCase() : "INTERNAL";
}

function hasReason(error: Error): error is Error & { reason: string } {
  return "reason" in error && typeof error.reason === "string";
}
