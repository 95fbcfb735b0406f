/** Derives the ids of an attempt's spans. */
import { createHash } from "node:crypto";
import { childSpanId } from "@muster/common/tracing/span-ids";
import { parseTraceparent, type TraceParent } from "@muster/common/tracing/trace-context";
import { type AttemptKey, formatAttemptId } from "../../domain/ids.ts";
import type { TaskTrace } from "../../domain/tasks/trace.ts";

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
  return { ...parent, spanId: childSpanId(parent.spanId, name) };
}

/** True when the attempt is the root of a trace of its own. */
export function startsTrace(trace: TaskTrace, epoch: number): boolean {
  return epoch > 1 || trace.dueMs !== undefined;
}
