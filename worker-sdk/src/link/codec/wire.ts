/** Encodes messages to the scheduler. */
import { isUtf8 } from "node:buffer";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { create, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { TaskStep, WorkerMessage } from "@muster/protocol";
import {
  AdaptiveLimitSchema,
  AttemptMetricsSchema,
  encodeFacts,
  FailureClass,
  RejectionReason,
  ResourceStateSchema,
  StartupPhaseSchema,
  StepState,
  SucceededSchema,
  TaskResultSchema,
  TaskResultsSchema,
  WorkerMessageSchema,
} from "@muster/protocol";
import type { LimitReport } from "../../adaptive/adaptive-limit.ts";
import { durationFromMs, msFromDuration } from "../../duration.ts";
import type { AssignmentGroup, AssignmentMessage, KeptStep } from "../assignment.ts";
import type { RejectReason, ResourceStateMessage, StartupPhaseMessage } from "../messages.ts";
import type { PlainSuccess, UnacknowledgedResult } from "../outbox/in-flight.ts";
import type { Cost, Outcome } from "../outcome.ts";
import type { IncomingAssignment } from "./assignments-frame.ts";

/** A WorkerMessage's kind, as `create` takes it. */
export type WorkerMessageKind = NonNullable<MessageInitShape<typeof WorkerMessageSchema>["kind"]>;

/** Encodes a WorkerMessage. */
export function encode(kind: WorkerMessageKind): Uint8Array {
  return toBinary(WorkerMessageSchema, create(WorkerMessageSchema, { kind }) satisfies WorkerMessage);
}

/** A startup phase in protobuf. */
export function startupPhase(phase: StartupPhaseMessage) {
  return create(StartupPhaseSchema, {
    phase: phase.phase,
    outcome: phase.outcome,
    elapsed: durationFromMs(phase.elapsedMs),
    detail: phase.detail,
    attributes: { ...phase.attributes },
  });
}

/** The resources of a heartbeat that are being loaded or could not be loaded. */
export function resourceStates(states: readonly ResourceStateMessage[], nowMs: number) {
  return states.map(({ resource, loading, sinceMs, failures, error }) =>
    create(ResourceStateSchema, {
      resource,
      loading,
      age: durationFromMs(Math.max(0, nowMs - sinceMs)),
      failureCount: failures,
      error,
    }),
  );
}

/** The limits that the worker adapts, by type. */
export function adaptiveLimits(limits: ReadonlyMap<string, LimitReport>, nowMs: number) {
  return Object.fromEntries(
    Array.from(limits, ([type, { limit, min, max, previous, reason, changedMs }]) => [
      type,
      create(AdaptiveLimitSchema, {
        ...{ limit, minLimit: min, maxLimit: max, previousLimit: previous, reason },
        ...(changedMs === undefined ? {} : { changeAge: durationFromMs(Math.max(0, nowMs - changedMs)) }),
      }),
    ]),
  );
}

/** A rejection's reason in protobuf. */
export function rejectionReason(reason: RejectReason): RejectionReason {
  return RejectionReason[reason];
}

const FAILURE_CLASSES = {
  retryable: FailureClass.RETRYABLE,
  non_retryable: FailureClass.NON_RETRYABLE,
  out_of_memory: FailureClass.OUT_OF_MEMORY,
  timed_out: FailureClass.TIMED_OUT,
} as const;

const RESULTS_TAG = WorkerMessageSchema.field.taskResults.number;
const RESULT_TAG = TaskResultsSchema.field.results.number;
const RESULT = {
  attemptId: TaskResultSchema.field.attemptId.number,
  succeeded: TaskResultSchema.field.succeeded.number,
  metrics: TaskResultSchema.field.metrics.number,
  output: SucceededSchema.field.output.number,
  contentType: SucceededSchema.field.contentType.number,
  runDuration: AttemptMetricsSchema.field.runDuration.number,
  peakRssBytes: AttemptMetricsSchema.field.peakRssBytes.number,
};

/** A WorkerMessage of TaskResults under construction. */
export class ResultsFrame {
  readonly #writer = new BinaryWriter().tag(RESULTS_TAG, WireType.LengthDelimited).fork();

  /** Adds an attempt's result. */
  add(attemptId: string, result: UnacknowledgedResult): void {
    this.#writer.tag(RESULT_TAG, WireType.LengthDelimited);
    if (result instanceof Uint8Array) this.#writer.bytes(result);
    else writeSuccess(this.#writer.fork(), attemptId, result).join();
  }

  /** The encoded WorkerMessage; nothing may be added after it. */
  finish(): Uint8Array {
    return this.#writer.join().finish();
  }
}

/** Writes field by field, which saves four message objects for every result. */
function writeSuccess(writer: BinaryWriter, attemptId: string, success: PlainSuccess): BinaryWriter {
  const { output, contentType, runMs, peakRssBytes } = success;
  const micros = Math.round(runMs * 1000);
  const seconds = Math.trunc(micros / 1e6);
  writer.tag(RESULT.attemptId, WireType.LengthDelimited).string(attemptId);
  writer.tag(RESULT.succeeded, WireType.LengthDelimited).fork();
  if (output.length > 0) writer.tag(RESULT.output, WireType.LengthDelimited).bytes(bytesOf(output));
  writer.tag(RESULT.contentType, WireType.LengthDelimited).string(contentType).join();
  writer.tag(RESULT.metrics, WireType.LengthDelimited).fork();
  writer.tag(RESULT.runDuration, WireType.LengthDelimited).fork();
  if (seconds > 0) writer.tag(1, WireType.Varint).int64(seconds);
  writer
    .tag(2, WireType.Varint)
    .int32((micros - seconds * 1e6) * 1000)
    .join();
  return writer.tag(RESULT.peakRssBytes, WireType.Varint).int64(peakRssBytes).join();
}

/** An attempt's outcome as an encoded TaskResult. */
export function encodeResult(
  attemptId: string,
  outcome: Outcome,
  cost: Cost,
  peakRssBytes: number,
  iterations: number,
): Uint8Array {
  const result = create(TaskResultSchema, {
    attemptId,
    iterationCount: iterations,
    outcome: resultOutcome(outcome),
    metrics: {
      runDuration: durationFromMs(cost.runMs),
      phases: cost.phases.map(({ phase, durationMs, failed, timeoutMs }) => ({
        phase,
        duration: durationFromMs(durationMs),
        failed,
        ...(timeoutMs === undefined ? {} : { timeout: durationFromMs(timeoutMs) }),
      })),
      peakRssBytes: BigInt(peakRssBytes),
    },
  });
  return toBinary(TaskResultSchema, result);
}

function resultOutcome(outcome: Outcome): NonNullable<MessageInitShape<typeof TaskResultSchema>["outcome"]> {
  switch (outcome.kind) {
    case "succeeded": {
      const { output, contentType } = outcome;
      return {
        case: "succeeded",
        value: { output: bytesOf(output), contentType, warnings: [...outcome.warnings] },
      };
    }
    case "failed": {
      const { code, message, traceback, retryAfterMs, details = "", facts = {} } = outcome;
      return {
        case: "failed",
        value: {
          failureClass: FAILURE_CLASSES[outcome.failureClass],
          code,
          message,
          traceback,
          details,
          facts: encodeFacts(facts),
          ...(retryAfterMs === undefined ? {} : { retryAfter: durationFromMs(retryAfterMs) }),
        },
      };
    }
    case "cancelled":
      return { case: "cancelled", value: { message: outcome.message } };
    case "released":
      return { case: "released", value: { reason: outcome.reason } };
  }
}

/** Text as UTF-8, bytes as they are. */
export function bytesOf(data: string | Uint8Array): Uint8Array {
  return typeof data === "string" ? Buffer.from(data, "utf8") : data;
}

/** Groups assignments for the main thread: consecutive ones that are alike share a group. */
export function groupAssignments(assignments: readonly IncomingAssignment[]): AssignmentGroup[] {
  const groups: AssignmentGroup[] = [];
  let model: IncomingAssignment | undefined;
  let group: AssignmentGroup | undefined;
  for (const assignment of assignments) {
    if (
      group === undefined ||
      model === undefined ||
      !alike(model, assignment) ||
      !sameNames(assignment.headers, group.headers)
    ) {
      model = assignment;
      group = newGroup(assignment);
      groups.push(group);
    }
    group.attemptIds.push(assignment.attemptId);
    group.taskIds.push(assignment.taskId);
    group.attemptNumbers.push(assignment.attemptNumber);
    group.payloads.push(payloadOf(assignment.payload, group.common.contentType));
    for (const { name, values } of group.headers) values.push(assignment.headers[name] ?? "");
  }
  return groups;
}

function newGroup(assignment: IncomingAssignment): AssignmentGroup {
  return {
    common: {
      type: assignment.taskType,
      queue: assignment.queue,
      maxAttempts: assignment.maxAttemptCount,
      contentType: assignment.contentType || "application/json",
      runTimeoutMs: msFromDuration(assignment.runTimeout),
      phaseTimeoutsMs: durationsMs(assignment.phaseTimeouts),
      phaseWarningsMs: durationsMs(assignment.phaseWarnings),
      resources: assignment.resources,
      cost: costOf(assignment.cost),
      tick: tickOf(assignment.scheduleTick),
      resumePoint: resumePointOf(assignment.resumePoint),
      earlierProgress: earlierProgressOf(assignment.earlierProgress),
      steps: assignment.steps.length === 0 ? NO_STEPS : assignment.steps.map(keptStep),
      iterations: assignment.iterationCount,
      maxIterations: assignment.maxIterationCount,
    },
    attemptIds: [],
    taskIds: [],
    attemptNumbers: [],
    payloads: [],
    headers: Object.keys(assignment.headers).map((name) => ({ name, values: [] })),
  };
}

/** Compares header names alone: traced tasks differ in the value of `traceparent`. */
function sameNames(
  one: Readonly<Record<string, string>>,
  columns: readonly { readonly name: string }[],
): boolean {
  let index = 0;
  for (const name in one) if (columns[index++]?.name !== name) return false;
  return index === columns.length;
}

/** True when both differ at most in what a group lists; an assignment with options of its own is never alike. */
function alike(one: IncomingAssignment, other: IncomingAssignment): boolean {
  return (
    one.taskType === other.taskType &&
    one.queue === other.queue &&
    one.maxAttemptCount === other.maxAttemptCount &&
    one.contentType === other.contentType &&
    isPlain(one) &&
    isPlain(other)
  );
}

function isPlain(assignment: IncomingAssignment): boolean {
  if (assignment.runTimeout !== undefined || assignment.resources.length > 0) return false;
  if (assignment.iterationCount > 0 || assignment.maxIterationCount > 0) return false;
  const { phaseTimeouts, phaseWarnings, cost, scheduleTick, resumePoint, earlierProgress } = assignment;
  if (resumePoint !== undefined || earlierProgress !== undefined) return false;
  if (assignment.steps.length > 0) return false;
  return scheduleTick === undefined && isEmpty(phaseTimeouts) && isEmpty(phaseWarnings) && isEmpty(cost);
}

function costOf(cost: Readonly<Record<string, bigint>>): Record<string, number> | undefined {
  if (isEmpty(cost)) return undefined;
  return Object.fromEntries(Object.entries(cost).map(([name, amount]) => [name, Number(amount)]));
}

function tickOf(tick: IncomingAssignment["scheduleTick"]): AssignmentMessage["tick"] {
  if (tick === undefined) return undefined;
  const { schedule, tickTime, manual } = tick;
  return { schedule, tickMs: tickTime === undefined ? 0 : timestampMs(tickTime), manual };
}

function resumePointOf(point: IncomingAssignment["resumePoint"]): AssignmentMessage["resumePoint"] {
  return point && { value: payloadOf(point.value, point.contentType) };
}

function earlierProgressOf(
  progress: IncomingAssignment["earlierProgress"],
): AssignmentMessage["earlierProgress"] {
  if (progress === undefined) return undefined;
  const { fraction, doneCount, totalCount, unit, message } = progress;
  return {
    ...(fraction === undefined ? {} : { fraction }),
    ...(doneCount === undefined ? {} : { done: Number(doneCount) }),
    ...(totalCount === undefined ? {} : { total: Number(totalCount) }),
    ...(unit === "" ? {} : { unit }),
    ...(message === "" ? {} : { message }),
  };
}

const NO_STEPS: AssignmentMessage["steps"] = Object.freeze([]);

function keptStep({ name, state, optional, result, code, message, skip }: TaskStep): KeptStep {
  const kept = state === StepState.DONE ? "done" : state === StepState.FAILED ? "failed" : "pending";
  return { name, state: kept, optional, result: Buffer.from(result).toString("utf8"), code, message, skip };
}

/** The state of a step in protobuf. */
export function stepState(state: KeptStep["state"]): StepState {
  if (state === "done") return StepState.DONE;
  return state === "failed" ? StepState.FAILED : StepState.PENDING;
}

function isEmpty(entries: Readonly<Record<string, unknown>>): boolean {
  for (const _ in entries) return false;
  return true;
}

/** Durations of a protobuf map in milliseconds. */
export function durationsMs(
  durations: Readonly<Record<string, Parameters<typeof msFromDuration>[0]>>,
): Record<string, number> {
  return Object.fromEntries(
    Object.entries(durations).map(([name, duration]) => [name, msFromDuration(duration) ?? 0]),
  );
}

function payloadOf(payload: Uint8Array, contentType: string): string | Uint8Array {
  const isJson = isJsonType(contentType) && isUtf8(payload);
  if (isJson) return Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString("utf8");
  // A copy: cloning a view copies the whole frame below it.
  return new Uint8Array(payload);
}

/** True for `application/json`, with or without parameters. */
export function isJsonType(contentType: string): boolean {
  return contentType === "application/json" || /^application\/json\s*(;|$)/i.test(contentType);
}
