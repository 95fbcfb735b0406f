import { isUtf8 } from "node:buffer";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { create, toBinary } from "@bufbuild/protobuf";
import type { Assignment, TaskResult, WorkerMessage } from "@muster/protocol";
import {
  FailureClass,
  RejectionReason,
  StartupPhaseSchema,
  TaskResultSchema,
  WorkerMessageSchema,
} from "@muster/protocol";
import { durationFromMs, msFromDuration } from "../duration.ts";
import type { AssignmentMessage, Cost, Outcome, RejectReason, StartupPhaseMessage } from "./messages.ts";

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

/** An attempt's outcome in protobuf. */
export function taskResult(
  attemptId: string,
  outcome: Outcome,
  cost: Cost,
  peakRssBytes: number,
): TaskResult {
  return create(TaskResultSchema, {
    attemptId,
    outcome: resultOutcome(outcome),
    metrics: {
      runDuration: durationFromMs(cost.runMs),
      phases: cost.phases.map(({ phase, durationMs, failed }) => ({
        phase,
        duration: durationFromMs(durationMs),
        failed,
      })),
      peakRssBytes: BigInt(peakRssBytes),
    },
  });
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
      const { code, message, traceback, retryAfterMs } = outcome;
      return {
        case: "failed",
        value: {
          class: FAILURE_CLASSES[outcome.class],
          code,
          message,
          traceback,
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

/** An assignment as the main thread takes it. */
export function assignmentMessage(assignment: Assignment): AssignmentMessage {
  const contentType = assignment.contentType || "application/json";
  return {
    attemptId: assignment.attemptId,
    taskId: assignment.taskId,
    type: assignment.type,
    queue: assignment.queue,
    attemptNumber: assignment.attemptNumber,
    maxAttempts: assignment.maxAttemptCount,
    payload: payloadOf(assignment.payload, contentType),
    contentType,
    headers: assignment.headers,
    runTimeoutMs: msFromDuration(assignment.runTimeout),
    phaseTimeoutsMs: durationsMs(assignment.phaseTimeouts),
    phaseWarningsMs: durationsMs(assignment.phaseWarnings),
    resources: assignment.resources,
  };
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
  // A view's clone would carry the whole frame that it looks into.
  return new Uint8Array(payload);
}

/** True for `application/json`, with or without parameters. */
export function isJsonType(contentType: string): boolean {
  return contentType === "application/json" || /^application\/json\s*(;|$)/i.test(contentType);
}
