/** The spans of a run. */
import { messagingSpan } from "@muster/common/tracing/messaging-span";
import { childSpanId } from "@muster/common/tracing/span-ids";
import { isUnsampled } from "@muster/common/tracing/trace-context";
import type { Context, Span, TimeInput, Tracer } from "@opentelemetry/api";
import { context, SpanKind, trace } from "@opentelemetry/api";
import { wallClock } from "../clock.ts";
import type { Logger } from "../logging/logger.ts";
import { fail, messageOf } from "./failure.ts";
import { registeredTracer } from "./provider.ts";
import { remoteContext, UnsampledContext } from "./remote-context.ts";
import { spanIds } from "./span-ids.ts";

/** How a run ended, for its span. */
export interface RunEnd {
  /** `succeeded`, `failed`, `cancelled`, `released` or `revoked`. */
  readonly outcome: string;
  /** Set when it ended badly. */
  readonly error?: { readonly type: string; readonly message: string };
}

/** Facts of an attempt for the span of its run. */
export interface TracedRun {
  readonly attemptId: string;
  readonly taskId: string;
  readonly type: string;
  readonly queue: string;
  readonly attemptNumber: number;
  readonly headers: Readonly<Record<string, string>>;
}

/** Span of a phase, which is ended with the run. */
interface PhaseSpan {
  readonly span: Span;
  endTime: TimeInput | undefined;
}

/** Spans of a run that is sampled. */
interface Recorded {
  readonly tracer: Tracer;
  readonly span: Span;
  readonly phases: PhaseSpan[];
  /** How often each phase was opened. */
  readonly counts: Map<string, number>;
}

/** Most phases of one run that get a span; a handler with more is in a loop. */
const MAX_PHASES = 1000;

/**
 * The spans of one attempt. The handler runs inside them: its own spans are their children.
 *
 * The spans are ended together, once the scheduler has acknowledged the outcome. A worker that dies or whose session
 * is terminated before that has exported none of them, and the scheduler writes them from its reports, with the same
 * ids: each span exists once, and the handler's own spans keep their parents.
 */
export class RunTrace {
  readonly #recorded: Recorded | undefined;
  readonly #context: Context;
  #endTime: Date | undefined;

  private constructor(recorded: Recorded | undefined, within: Context) {
    this.#recorded = recorded;
    this.#context = within;
  }

  /**
   * Starts the span of a run, as a child of the attempt's span, whose context is in the headers. Undefined when no
   * OpenTelemetry SDK is registered. A producer's decision not to sample is kept.
   */
  static start(run: TracedRun, workerId: string): RunTrace | undefined {
    const tracer = registeredTracer();
    if (tracer === undefined) return undefined;
    const { traceparent } = run.headers;
    if (isUnsampled(traceparent)) return new RunTrace(undefined, new UnsampledContext(traceparent));
    const parent = remoteContext(traceparent);
    const remote = trace.getSpanContext(parent);
    const { name, attributes } = messagingSpan("run", "process", run.queue);
    const span = spanIds.give(remote && { spanId: childSpanId(remote.spanId, "run") }, () =>
      tracer.startSpan(
        name,
        {
          kind: SpanKind.CONSUMER,
          attributes: {
            ...attributes,
            "messaging.message.id": run.taskId,
            "messaging.client.id": workerId,
            "muster.queue": run.queue,
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
    const recorded = span.isRecording() ? { tracer, span, phases: [], counts: new Map() } : undefined;
    return new RunTrace(recorded, trace.setSpan(parent, span));
  }

  /** The context of the span as a W3C header, for another process. */
  get traceparent(): string | undefined {
    const span = trace.getSpanContext(this.#context);
    return span && `00-${span.traceId}-${span.spanId}-0${span.traceFlags & 1}`;
  }

  /** A function that calls `fn` with the span of the run as the active one, also across its awaits. */
  bind<T>(fn: () => T): () => T {
    return () => context.with(this.#context, fn);
  }

  /** Runs a phase in a new span, a child of the active one. */
  async phase<T>(
    name: string,
    attributes: Readonly<Record<string, string>>,
    fn: () => T | Promise<T>,
  ): Promise<T> {
    // The sampler may have rejected the run; its children would only be rejected again.
    const recorded = this.#recorded;
    if (recorded === undefined || this.#endTime !== undefined || recorded.phases.length >= MAX_PHASES)
      return fn();
    const { tracer, phases, counts } = recorded;
    const active = this.#isOwn(context.active()) ? context.active() : this.#context;
    const count = (counts.get(name) ?? 0) + 1;
    counts.set(name, count);
    const spanId = childSpanId(recorded.span.spanContext().spanId, `phase/${name}/${count}`);
    const span = spanIds.give({ spanId }, () =>
      tracer.startSpan(
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
    phases.push(phase);
    try {
      return await context.with(trace.setSpan(active, span), fn);
    } catch (error) {
      fail(span, error instanceof Error ? error.name : "Error", messageOf(error));
      throw error;
    } finally {
      phase.endTime = wallClock();
    }
  }

  /** Adds an event to the span of the run. */
  event(name: string, attributes: Readonly<Record<string, string | number>>): void {
    if (this.#endTime === undefined) this.#recorded?.span.addEvent(name, attributes);
  }

  /** The handler has ended. Only the first end counts; `release` or `drop` follows. */
  end({ outcome, error }: RunEnd): void {
    if (this.#recorded === undefined || this.#endTime !== undefined) return;
    const { span } = this.#recorded;
    this.#endTime = wallClock();
    span.setAttribute("muster.attempt.outcome", outcome);
    if (error !== undefined) fail(span, error.type, error.message);
  }

  /** The scheduler has acknowledged the outcome: ends the spans, parents first. */
  release(): void {
    if (this.#recorded === undefined) return;
    const { span, phases } = this.#recorded;
    const endTime = this.#endTime ?? wallClock();
    this.#endTime = endTime;
    span.end(endTime);
    for (const phase of phases.splice(0)) {
      if (phase.endTime === undefined) fail(phase.span, "left_open", "the run ended before the phase did");
      phase.span.end(phase.endTime ?? endTime);
    }
  }

  /** The attempt no longer belongs to this worker: the scheduler has written its spans. */
  drop(): void {
    if (this.#recorded === undefined) return;
    this.#endTime ??= wallClock();
    this.#recorded.phases.length = 0;
  }

  /** True when there are spans to release or to drop. */
  get recording(): boolean {
    return this.#recorded !== undefined;
  }

  /** Ids of the active span of this trace, else of the run's, for log lines; none when it is not recorded. */
  fields(): { trace_id?: string; span_id?: string } {
    const own = this.#recorded?.span.spanContext();
    if (own === undefined) return {};
    const active = trace.getSpanContext(context.active());
    const { traceId, spanId } = active?.traceId === own.traceId ? active : own;
    return { trace_id: traceId, span_id: spanId };
  }

  #isOwn(other: Context): boolean {
    const [own, active] = [trace.getSpanContext(this.#context), trace.getSpanContext(other)];
    return active !== undefined && active.traceId === own?.traceId;
  }

  /** Wraps a logger so that its lines carry the ids. */
  log(log: Logger): Logger {
    if (this.#recorded === undefined) return log;
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
