import { createHash, randomBytes } from "node:crypto";
import { parseTraceparent, type TraceParent } from "@muster/common/trace-context";
import type { IdGenerator } from "@opentelemetry/sdk-trace";
import { type AttemptKey, formatAttemptId } from "../../domain/ids.ts";
import type { TaskTrace } from "../../domain/tasks/trace.ts";

/** Ids that a span is to have. */
export interface GivenIds {
  readonly traceId: string;
  readonly spanId: string;
}

/**
 * The span of an attempt. It is worked out rather than drawn: the scheduler that gives an attempt out names
 * it to the worker, and whichever scheduler sees the attempt's end writes it, after a restart too.
 *
 * The first attempt of a task belongs to the producer's trace; retries and delayed runs have one of their own.
 *
 * @returns undefined when the task's context is not valid.
 */
export function attemptContext(trace: TaskTrace, key: AttemptKey): TraceParent | undefined {
  const parent = parseTraceparent(trace.parent);
  if (!parent) return undefined;
  const hash = createHash("sha256")
    .update(`${parent.traceId}/${parent.spanId}/${formatAttemptId(key)}`)
    .digest("hex");
  return {
    traceId: startsTrace(trace, key.epoch) ? hash.slice(0, 32) : parent.traceId,
    spanId: hash.slice(32, 48),
    sampled: true,
  };
}

/** A span below `parent` that has children of its own before it is written. */
export function childOf(parent: TraceParent, name: string): TraceParent {
  const hash = createHash("sha256").update(`${parent.spanId}/${name}`).digest("hex");
  return { ...parent, spanId: hash.slice(0, 16) };
}

/** True when the attempt is the root of a trace of its own. */
export function startsTrace(trace: TaskTrace, epoch: number): boolean {
  return epoch > 1 || trace.dueMs !== undefined;
}

/** Random ids, but for spans whose ids are already known elsewhere. */
export class SpanIds implements IdGenerator {
  #given: GivenIds | undefined;

  /** Runs `start`, whose one new span gets these ids. */
  give<T>(ids: GivenIds | undefined, start: () => T): T {
    this.#given = ids;
    try {
      return start();
    } finally {
      this.#given = undefined;
    }
  }

  generateTraceId(): string {
    return this.#given?.traceId ?? randomBytes(16).toString("hex");
  }

  generateSpanId(): string {
    return this.#given?.spanId ?? randomBytes(8).toString("hex");
  }
}
