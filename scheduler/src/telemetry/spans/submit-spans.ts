/** The spans of submits. */
import { messagingSpan } from "@muster/common/tracing/messaging-span";
import { parseTraceparent, TRACEPARENT, withCallContext } from "@muster/common/tracing/trace-context";
import {
  type Attributes,
  type Context,
  context,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from "@opentelemetry/api";
import { formatTaskId } from "../../domain/ids.ts";
import type { NewTask } from "../../domain/tasks/task.ts";
import type { TaskTrace } from "../../domain/tasks/trace.ts";
import { MESSAGING, MUSTER, RPC } from "../attributes.ts";
import { rpcStatus } from "./rpc-status.ts";
import { hrTime, within } from "./span-values.ts";

/** What a submit answers for one task. */
export interface Accepted {
  readonly id: number;
  readonly duplicate: boolean;
}

/** The spans of the tasks of one trace. */
interface Recorded {
  /** The call. */
  readonly call: Span;
  /** The sending, where no producer has a span of its own for it. */
  readonly sending: Span | undefined;
}

const METHOD = "muster.v1.TaskService/SubmitTasks";

/**
 * The spans of one call that submits tasks: one for each trace that its tasks belong to, and most calls
 * belong to one. A trace that its producer does not sample costs nothing but the check of its flag.
 */
export class SubmitSpans {
  readonly #tasks: readonly NewTask[];
  readonly #spans = new Map<string, Recorded>();
  readonly #tracer: Tracer;
  readonly #isGrpc: boolean;
  readonly context: Context;

  constructor(tracer: Tracer, call: Headers, tasks: readonly NewTask[]) {
    this.#tracer = tracer;
    this.#isGrpc = call.get("content-type")?.startsWith("application/grpc") ?? true;
    this.#tasks = tasks.map((task) => inCall(task, call));
    const batches = new Map<string, NewTask[]>();
    for (const task of this.#tasks) {
      const key = task.headers?.[TRACEPARENT] ?? "";
      const batch = batches.get(key);
      if (batch) batch.push(task);
      else batches.set(key, [task]);
    }
    for (const [key, batch] of batches) {
      const recorded = this.#start(key, batch);
      if (recorded) this.#spans.set(key, recorded);
    }
    const [first] = this.#spans.values();
    this.context = first ? trace.setSpan(context.active(), first.call) : context.active();
  }

  /** The tasks as they are kept: those of a recorded trace carry the span that sent them. */
  tasks(nowMs: number): NewTask[] {
    if (this.#spans.size === 0) return [...this.#tasks];
    return this.#tasks.map((task) => {
      const recorded = this.#spans.get(task.headers?.[TRACEPARENT] ?? "");
      if (!recorded) return task;
      const { traceId, spanId } = (recorded.sending ?? recorded.call).spanContext();
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
    for (const { call, sending } of this.#spans.values()) {
      this.#answered(call, "OK");
      if (only && others.length === 0) {
        const taskId = formatTaskId(only.id);
        call.setAttribute(MUSTER.taskId, taskId);
        sending?.setAttributes({ [MESSAGING.messageId]: taskId, [MUSTER.taskId]: taskId });
        if (only.duplicate) call.addEvent("duplicate", { [MUSTER.taskId]: taskId });
      }
      this.#tracer
        .startSpan(
          "INSERT task",
          {
            kind: SpanKind.CLIENT,
            startTime: hrTime(startMs),
            attributes: {
              "db.system.name": "postgresql",
              "db.operation.name": "INSERT",
              "db.collection.name": "task",
            },
          },
          trace.setSpan(ROOT_CONTEXT, call),
        )
        .end(hrTime(endMs));
    }
  }

  refused(error: unknown): void {
    const { code, reason, isServerError } = rpcStatus(error);
    const status = {
      code: SpanStatusCode.ERROR,
      message: error instanceof Error ? error.message : String(error),
    };
    const told: Attributes = reason === undefined ? {} : { [MUSTER.reason]: reason };
    for (const { call, sending } of this.#spans.values()) {
      this.#answered(call, code);
      call.setAttributes(told);
      // The caller's mistake is not an error of the server that refuses it, but one of the sending.
      if (isServerError) call.setAttribute("error.type", this.#wireCode(code)).setStatus(status);
      sending?.setAttributes({ ...told, "error.type": this.#wireCode(code) }).setStatus(status);
    }
  }

  end(): void {
    for (const { call, sending } of this.#spans.values()) {
      sending?.end();
      call.end();
    }
  }

  #start(key: string, batch: readonly NewTask[]): Recorded | undefined {
    const parent = parseTraceparent(key);
    if (parent && !parent.sampled) return undefined;
    const [queue, type] = [sameOf(batch, (task) => task.queue), sameOf(batch, (task) => task.type)];
    const about: Attributes = {
      ...(queue === undefined ? {} : { [MUSTER.queue]: queue }),
      ...(type === undefined ? {} : { [MUSTER.taskType]: type }),
    };
    const call = this.#tracer.startSpan(
      METHOD,
      {
        kind: SpanKind.SERVER,
        attributes: {
          [RPC.system]: this.#isGrpc ? "grpc" : "connectrpc",
          [RPC.method]: METHOD,
          ...about,
        },
      },
      parent ? within(parent, ROOT_CONTEXT) : ROOT_CONTEXT,
    );
    if (!call.isRecording()) return undefined;
    if (parent) return { call, sending: undefined };
    const { name, attributes } = messagingSpan("submit", "send", queue);
    const count = batch.length > 1 ? { [MESSAGING.batchCount]: batch.length } : {};
    const sending = this.#tracer.startSpan(
      name,
      { kind: SpanKind.PRODUCER, attributes: { ...attributes, ...about, ...count } },
      trace.setSpan(ROOT_CONTEXT, call),
    );
    return { call, sending };
  }

  #answered(call: Span, code: string): void {
    const status = this.#wireCode(code);
    call.setAttributes({ [RPC.status]: status, [RPC.statusBefore]: status });
  }

  /** Connect writes its error codes in lower case. */
  #wireCode(code: string): string {
    return this.#isGrpc || code === "OK" ? code : code.toLowerCase();
  }
}

/** The task with the trace context of its call, unless it has its own. */
export function inCall(task: NewTask, call: Headers): NewTask {
  const headers = withCallContext(task.headers, call);
  return headers === task.headers ? task : { ...task, headers };
}

function sameOf<T>(items: readonly NewTask[], pick: (task: NewTask) => T): T | undefined {
  const [first] = items;
  if (!first) return undefined;
  const value = pick(first);
  return items.every((item) => pick(item) === value) ? value : undefined;
}
