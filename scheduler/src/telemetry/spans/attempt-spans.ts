/** The spans of an attempt. */
import { messagingSpan } from "@muster/common/tracing/messaging-span";
import { parseTraceparent, type TraceParent } from "@muster/common/tracing/trace-context";
import { formatAttemptId, formatTaskId } from "../../domain/ids.ts";
import type { AttemptFacts, WaitReason } from "../../domain/tasks/trace.ts";
import { MESSAGING, MUSTER } from "../attributes.ts";
import { attemptContext, childOf, startsTrace } from "./span-ids.ts";
import type { SpanRecord } from "./span-record.ts";

/** Feature of a worker that writes the spans of its runs itself. */
export const TRACING_FEATURE = "tracing";

/** Reason of a wait that nothing explains but the way from one step to the next. */
const NO_REASON = "DISPATCH_DELAYED";

/** Reason of a wait that ended under a scheduler that is gone. */
const FORGOTTEN = "UNKNOWN";

/** Reasons recorded for one wait. */
const MAX_REASONS = 32;

/** What the scheduler that gave the attempt out saw. */
export interface Assigned {
  readonly sentMs: number;
  /** Reasons that the matcher gave for its class, oldest first. */
  readonly reasons: readonly WaitReason[];
}

/** What the scheduler that saw the attempt's end saw. */
export interface Ended {
  /** Undefined when another scheduler gave it out, or this one before a restart. */
  readonly assigned: Assigned | undefined;
  /** When the worker's result arrived; undefined when the scheduler itself concluded the end. */
  readonly reportedMs: number | undefined;
  /** When the end was committed. */
  readonly committedMs: number;
}

/** A phase of an attempt, from the events of its worker. */
export interface PhaseRecord {
  readonly phase: string;
  readonly startMs: number;
  /** Undefined when it was open at the end. */
  readonly endMs: number | undefined;
  readonly failed: boolean;
}

/** The spans of an attempt that has ended, from its wait in the queue to the commit of its result. */
export function endedSpans(facts: AttemptFacts, seen: Ended, phases: readonly PhaseRecord[]): SpanRecord[] {
  const self = attemptContext(facts.trace, facts);
  if (!self || facts.assignedMs === undefined || facts.endedMs === undefined) return [];
  const { assignedMs, acceptedMs } = facts;
  const committedMs = Math.max(facts.endedMs, seen.committedMs);
  const error = badEnd(facts);
  // By another machine's clock it may be sent before it was assigned or after it was accepted.
  const sentMs = Math.min(
    Math.max(assignedMs, seen.assigned?.sentMs ?? assignedMs),
    acceptedMs ?? facts.endedMs,
  );
  const spans: SpanRecord[] = [
    queueWait(facts, self, assignedMs, seen.assigned?.reasons),
    {
      name: "assign",
      kind: "internal",
      parent: self,
      startMs: assignedMs,
      endMs: sentMs,
      attributes: describe(facts),
    },
    {
      name: "accept",
      kind: "internal",
      parent: self,
      startMs: sentMs,
      endMs: acceptedMs ?? facts.endedMs,
      attributes: describe(facts),
      error:
        acceptedMs === undefined
          ? { type: "not_accepted", message: `not accepted: ${facts.outcome}` }
          : undefined,
    },
    ...unreportedRun(facts, self, seen, phases),
  ];
  if (seen.reportedMs !== undefined) {
    const { name, attributes } = messagingSpan("commit", "settle", facts.queue);
    spans.push({
      name,
      kind: "client",
      parent: self,
      startMs: Math.min(seen.reportedMs, committedMs),
      endMs: committedMs,
      attributes: { ...describe(facts), ...attributes, [MESSAGING.messageId]: formatTaskId(facts.taskId) },
    });
  }
  spans.push({
    name: `attempt ${facts.type}`,
    kind: "internal",
    parent: attemptParent(facts),
    self,
    startMs: facts.waitingSinceMs,
    endMs: committedMs,
    attributes: { ...describe(facts), [MUSTER.outcome]: facts.outcome },
    links: attemptLinks(facts),
    error,
  });
  return spans;
}

/** The spans of a task that ended in the queue, under the attempt that it waited for. */
export function endedInQueueSpans(facts: AttemptFacts, reasons: readonly WaitReason[]): SpanRecord[] {
  const self = attemptContext(facts.trace, facts);
  if (!self || facts.endedMs === undefined) return [];
  return [
    queueWait(facts, self, facts.endedMs, reasons),
    {
      name: `attempt ${facts.type}`,
      kind: "internal",
      parent: attemptParent(facts),
      self,
      startMs: facts.waitingSinceMs,
      endMs: facts.endedMs,
      attributes: { ...describe(facts), [MUSTER.outcome]: facts.outcome },
      links: attemptLinks(facts),
      error: badEnd(facts),
    },
  ];
}

function queueWait(
  facts: AttemptFacts,
  self: TraceParent,
  endMs: number,
  reasons: readonly WaitReason[] | undefined,
): SpanRecord {
  const startMs = Math.min(facts.waitingSinceMs, endMs);
  const held = waitedFor(facts, startMs, endMs, reasons);
  return {
    name: "queue wait",
    kind: "internal",
    parent: self,
    startMs,
    endMs,
    attributes: { ...describe(facts), [MUSTER.waitReason]: longest(held, endMs) },
    events: held.map(({ code, sinceMs }) => ({
      name: "waiting",
      atMs: sinceMs,
      attributes: { [MUSTER.waitReason]: code },
    })),
  };
}

/** Why it waited, from when on, oldest first; never empty. */
function waitedFor(
  { trace, previousOutcome }: AttemptFacts,
  startMs: number,
  endMs: number,
  reasons: readonly WaitReason[] | undefined,
): WaitReason[] {
  if (previousOutcome === "requeued:retry") return [{ code: "WAITING_FOR_RETRY", sinceMs: startMs }];
  const dueMs = previousOutcome === undefined ? (trace.dueMs ?? startMs) : startMs;
  const held: WaitReason[] = dueMs > startMs ? [{ code: "SCHEDULED_FOR_LATER", sinceMs: startMs }] : [];
  if (reasons === undefined) held.push({ code: FORGOTTEN, sinceMs: dueMs });
  for (const [index, { code, sinceMs }] of (reasons ?? []).entries()) {
    const until = reasons?.[index + 1]?.sinceMs ?? endMs;
    if (until <= dueMs || sinceMs >= endMs || code === "") continue;
    held.push({ code, sinceMs: Math.max(sinceMs, dueMs) });
  }
  if (held.length === 0) held.push({ code: NO_REASON, sinceMs: startMs });
  return held.slice(-MAX_REASONS);
}

function longest(held: readonly WaitReason[], endMs: number): string {
  const total = new Map<string, number>();
  for (const [index, { code, sinceMs }] of held.entries()) {
    total.set(code, (total.get(code) ?? 0) + (held[index + 1]?.sinceMs ?? endMs) - sinceMs);
  }
  return [...total].reduce((best, next) => (next[1] > best[1] ? next : best))[0];
}

/** The run of a worker that writes no spans or is gone, from its events. */
function unreportedRun(
  facts: AttemptFacts,
  self: TraceParent,
  { reportedMs, committedMs }: Ended,
  phases: readonly PhaseRecord[],
): SpanRecord[] {
  const expected = reportedMs !== undefined && facts.workerFeatures.includes(TRACING_FEATURE);
  if (expected || facts.startedMs === undefined || facts.endedMs === undefined) return [];
  // The start may have been reported with the first phase.
  const startMs = Math.min(facts.startedMs, ...phases.map((phase) => phase.startMs));
  const endMs = Math.max(startMs, reportedMs ?? Math.max(facts.endedMs, committedMs));
  const attributes = { ...describe(facts), [MUSTER.reported]: "scheduler" };
  const error = badEnd(facts);
  const run = childOf(self, "run");
  const processing = messagingSpan("run", "process", facts.queue);
  return [
    {
      name: processing.name,
      kind: "consumer",
      parent: self,
      self: run,
      startMs,
      endMs,
      attributes: {
        ...attributes,
        ...processing.attributes,
        [MESSAGING.messageId]: formatTaskId(facts.taskId),
        [MESSAGING.clientId]: facts.workerId,
        [MUSTER.outcome]: facts.outcome,
      },
      error,
    },
    ...phases.map(
      (phase, index): SpanRecord => ({
        name: `phase ${phase.phase}`,
        kind: "internal",
        parent: run,
        self: childOf(run, `phase/${phase.phase}/${nth(phases, index)}`),
        startMs: phase.startMs,
        endMs: Math.max(phase.startMs, phase.endMs ?? endMs),
        attributes: { ...attributes, [MUSTER.phase]: phase.phase },
        error:
          phase.endMs === undefined
            ? (error ?? { type: "left_open", message: "the run ended before the phase did" })
            : phase.failed
              ? { type: "phase_failed", message: "" }
              : undefined,
      }),
    ),
  ];
}

/** The how manieth phase of its name it is. */
function nth(phases: readonly PhaseRecord[], index: number): number {
  const name = phases[index]?.phase;
  return phases.slice(0, index + 1).filter(({ phase }) => phase === name).length;
}

function attemptParent({ trace, epoch }: AttemptFacts): TraceParent | undefined {
  return startsTrace(trace, epoch) ? undefined : parseTraceparent(trace.parent);
}

function attemptLinks(facts: AttemptFacts): NonNullable<SpanRecord["links"]> {
  if (!startsTrace(facts.trace, facts.epoch)) return [];
  const submit = parseTraceparent(facts.trace.parent);
  const previous =
    facts.epoch > 1 ? attemptContext(facts.trace, { ...facts, epoch: facts.epoch - 1 }) : undefined;
  return [
    ...(submit ? [{ to: submit, attributes: { [MUSTER.link]: "submit" } }] : []),
    ...(previous ? [{ to: previous, attributes: { [MUSTER.link]: "previous_attempt" } }] : []),
  ];
}

function badEnd({ failure, outcome }: AttemptFacts): SpanRecord["error"] {
  return failure && outcome !== "cancelled" ? { type: failure.code, message: failure.message } : undefined;
}

function describe(facts: AttemptFacts): Record<string, string | number | undefined> {
  return {
    [MUSTER.queue]: facts.queue,
    [MUSTER.taskId]: formatTaskId(facts.taskId),
    [MUSTER.taskType]: facts.type,
    [MUSTER.attemptId]: formatAttemptId(facts),
    [MUSTER.attemptNumber]: facts.number,
    [MUSTER.workerId]: facts.workerId,
  };
}
