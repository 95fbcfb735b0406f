import { hash, randomBytes } from "node:crypto";
import type { Context, Span, TimeInput, Tracer } from "@opentelemetry/api";
import {
  context,
  ProxyTracerProvider,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  trace,
} from "@opentelemetry/api";
import { wallClock } from "./clock.ts";
import type { Logger } from "./logger.ts";
import { SDK_VERSION } from "./version.ts";

/** Instrumentation scope of the SDK's spans. */
const SCOPE = "@muster/worker";

/** How a run ended, for its span. */
export interface RunEnd {
  /** `succeeded`, `failed`, `cancelled`, `released` or `revoked`. */
  readonly outcome: string;
  /** Set when it ended badly. */
  readonly error?: { readonly type: string; readonly message: string };
}

/** What a run's span says of its attempt. */
export interface TracedRun {
  readonly attemptId: string;
  readonly taskId: string;
  readonly type: string;
  readonly queue: string;
  readonly attemptNumber: number;
  readonly headers: Readonly<Record<string, string>>;
}

/** A phase's span, which ends with the run. */
interface PhaseSpan {
  readonly span: Span;
  endTime: TimeInput | undefined;
}

/** Phases of one run that get a span; a handler that opens more is in a loop. */
const MAX_PHASES = 1000;

/**
 * The spans of one attempt. The handler runs inside: what it traces by itself hangs below.
 *
 * Its spans are handed to the SDK together, once the scheduler has taken the outcome. A worker that dies or is
 * given up before that has exported none of them, and the scheduler writes them in its place from what was
 * reported, under the same ids: each span exists once, and what the handler traced by itself keeps its parents.
 */
export class RunTrace {
  readonly #tracer: Tracer;
  readonly #span: Span | undefined;
  readonly #context: Context;
  readonly #phases: PhaseSpan[] = [];
  readonly #counts = new Map<string, number>();
  #endTime: Date | undefined;

  private constructor(tracer: Tracer, span: Span | undefined, within: Context) {
    this.#tracer = tracer;
    this.#span = span;
    this.#context = within;
  }

  /**
   * Begins the span of a run, below the attempt's span that the scheduler names in the headers. Undefined
   * when no OpenTelemetry SDK is registered. A producer's decision not to sample is kept, and no span made.
   */
  static start(run: TracedRun, workerId: string): RunTrace | undefined {
    const tracer = registeredTracer();
    if (tracer === undefined) return undefined;
    const text = run.headers.traceparent;
    if (text !== undefined && text === unsampled?.text) return unsampled.trace;
    const parent = remoteContext(run.headers);
    const remote = trace.getSpanContext(parent);
    if (remote !== undefined && (remote.traceFlags & TraceFlags.SAMPLED) === 0) {
      const unrecorded = new RunTrace(tracer, undefined, parent);
      unsampled = { text: text ?? "", trace: unrecorded };
      return unrecorded;
    }
    const span = spanIds.give(remote && childId(remote.spanId, "run"), () =>
      tracer.startSpan(
        `run ${run.type}`,
        {
          kind: SpanKind.CONSUMER,
          attributes: {
            "messaging.system": "muster",
            "messaging.operation.name": "run",
            "messaging.operation.type": "process",
            "messaging.destination.name": run.queue,
            "messaging.message.id": run.taskId,
            "messaging.client.id": workerId,
            "muster.task.id": run.taskId,
            "muster.task.type": run.type,
            "muster.attempt.id": run.attemptId,
            "muster.attempt.number": run.attemptNumber,
            "muster.worker.id": workerId,
          },
        },
        parent,
      ),
    );
    return new RunTrace(tracer, span.isRecording() ? span : undefined, trace.setSpan(parent, span));
  }

  /** Calls `fn` with the run's span as the active one, across its awaits too. */
  within<T>(fn: () => T): T {
    return context.with(this.#context, fn);
  }

  /** Runs a phase in a span of its own below whatever span is active. */
  async phase<T>(
    name: string,
    attributes: Readonly<Record<string, string>>,
    fn: () => T | Promise<T>,
  ): Promise<T> {
    // A sampler may have said no to the run; its children would only ask again.
    if (this.#span === undefined || this.#endTime !== undefined || this.#phases.length >= MAX_PHASES)
      return fn();
    const active = this.#isOwn(context.active()) ? context.active() : this.#context;
    const count = (this.#counts.get(name) ?? 0) + 1;
    this.#counts.set(name, count);
    const id = childId(this.#span.spanContext().spanId, `phase/${name}/${count}`);
    const span = spanIds.give(id, () =>
      this.#tracer.startSpan(
        `phase ${name}`,
        {
          attributes: {
            "muster.phase": name,
            ...Object.fromEntries(
              Object.entries(attributes).map(([key, value]) => [`muster.phase.${key}`, value]),
            ),
          },
        },
        active,
      ),
    );
    const phase: PhaseSpan = { span, endTime: undefined };
    this.#phases.push(phase);
    try {
      return await context.with(trace.setSpan(active, span), fn);
    } catch (error) {
      fail(span, error instanceof Error ? error.name : "Error", messageOf(error));
      throw error;
    } finally {
      phase.endTime = wallClock();
    }
  }

  /** Notes something on the run's span. */
  event(name: string, attributes: Readonly<Record<string, string | number>>): void {
    if (this.#endTime === undefined) this.#span?.addEvent(name, attributes);
  }

  /** The handler has ended. Only the first end counts; `release` or `drop` follows. */
  end({ outcome, error }: RunEnd): void {
    if (this.#span === undefined || this.#endTime !== undefined) return;
    this.#endTime = wallClock();
    this.#span.setAttribute("muster.attempt.outcome", outcome);
    if (error !== undefined) fail(this.#span, error.type, error.message);
  }

  /** The scheduler has taken the outcome: hands the spans to the SDK, parents first. */
  release(): void {
    if (this.#span === undefined) return;
    const endTime = this.#endTime ?? wallClock();
    this.#endTime = endTime;
    this.#span.end(endTime);
    for (const phase of this.#phases.splice(0)) {
      if (phase.endTime === undefined) fail(phase.span, "left_open", "the run ended before the phase did");
      phase.span.end(phase.endTime ?? endTime);
    }
  }

  /** The attempt is not this worker's any more: the scheduler has written its spans. */
  drop(): void {
    if (this.#span === undefined) return;
    this.#endTime ??= wallClock();
    this.#phases.length = 0;
  }

  /** True when there are spans to release or to drop. */
  get recording(): boolean {
    return this.#span !== undefined;
  }

  /** Ids of the active span of this trace, else of the run's, for log lines; none when it is not recorded. */
  fields(): { trace_id?: string; span_id?: string } {
    const own = this.#span?.spanContext();
    if (own === undefined) return {};
    const active = trace.getSpanContext(context.active());
    const { traceId, spanId } = active?.traceId === own.traceId ? active : own;
    return { trace_id: traceId, span_id: spanId };
  }

  #isOwn(other: Context): boolean {
    const [own, active] = [trace.getSpanContext(this.#context), trace.getSpanContext(other)];
    return active !== undefined && active.traceId === own?.traceId;
  }

  /** A log whose lines carry the ids. */
  log(log: Logger): Logger {
    if (this.#span === undefined) return log;
    const traced = (target: Logger): Logger => ({
      debug: (fields, message) => target.debug({ ...this.fields(), ...fields }, message),
      info: (fields, message) => target.info({ ...this.fields(), ...fields }, message),
      warn: (fields, message) => target.warn({ ...this.fields(), ...fields }, message),
      error: (fields, message) => target.error({ ...this.fields(), ...fields }, message),
      child: (fields) => traced(target.child(fields)),
    });
    return traced(log);
  }
}

/**
 * Random ids, but for the spans of a run, whose ids the scheduler can work out too. `@muster/worker/otel` uses
 * it; an SDK that is set up otherwise should be given it as its `idGenerator`.
 */
export class SpanIds {
  #given: string | undefined;

  /** Runs `start`, whose one new span gets this id. */
  give<T>(spanId: string | undefined, start: () => T): T {
    this.#given = spanId;
    try {
      return start();
    } finally {
      this.#given = undefined;
    }
  }

  generateTraceId(): string {
    return randomBytes(16).toString("hex");
  }

  generateSpanId(): string {
    return this.#given ?? randomBytes(8).toString("hex");
  }
}

/**
 * The last context that was not sampled. A scheduler gives all its unsampled tasks the same one, and a trace
 * without a span has no state, so that they share it: such a task costs no parsing and no object.
 */
let unsampled: { readonly text: string; readonly trace: RunTrace } | undefined;

/** The process's ids. */
export const spanIds = new SpanIds();

/** Id of a run's or a phase's span; the scheduler works it out in the same way. */
function childId(parentSpanId: string, name: string): string {
  return hash("sha256", `${parentSpanId}/${name}`).slice(0, 16);
}

/** True when an OpenTelemetry SDK is registered: the worker then writes the spans of its runs. */
export function isTracing(): boolean {
  return registeredTracer() !== undefined;
}

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

/** Exports what the registered SDK holds back, if it can, for at most as long as its own limits allow. */
export async function flushSpans(): Promise<void> {
  const provider = trace.getTracerProvider();
  const delegate: object = provider instanceof ProxyTracerProvider ? provider.getDelegate() : provider;
  if (!("forceFlush" in delegate) || typeof delegate.forceFlush !== "function") return;
  await delegate.forceFlush();
}

function registeredTracer(): Tracer | undefined {
  const provider = trace.getTracerProvider();
  // The proxy answers with a tracer of its own until an SDK is registered; only the delegate's makes spans.
  if (provider instanceof ProxyTracerProvider) return provider.getDelegateTracer(SCOPE, SDK_VERSION);
  return provider.getTracer(SCOPE, SDK_VERSION);
}

const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?$/;

/** The W3C context of the headers, whatever propagators are set: it is what the protocol carries. */
function remoteContext(headers: Readonly<Record<string, string>>): Context {
  const [, traceId, spanId, flags] = TRACEPARENT.exec(headers.traceparent ?? "") ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return ROOT_CONTEXT;
  const remote = { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & 1, isRemote: true };
  return trace.isSpanContextValid(remote) ? trace.setSpanContext(ROOT_CONTEXT, remote) : ROOT_CONTEXT;
}

function injectInto(header: Headers, within: Context): void {
  const span = trace.getSpanContext(within);
  if (span === undefined || header.has("traceparent")) return;
  const flags = (span.traceFlags & TraceFlags.SAMPLED) === 0 ? "00" : "01";
  header.set("traceparent", `00-${span.traceId}-${span.spanId}-${flags}`);
  const state = span.traceState?.serialize();
  if (state) header.set("tracestate", state);
}

function fail(span: Span, type: string, message: string): void {
  span.setAttribute("error.type", type);
  span.setStatus({ code: SpanStatusCode.ERROR, message });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function splitAddress(address: string): string[] {
  const at = address.lastIndexOf(":");
  return at < 0 ? [address] : [address.slice(0, at), address.slice(at + 1)];
}
