// What a worker reports of an attempt besides its result, from protobuf.

import { UNIT_NAME } from "@muster/common/text/name-forms";
import { quoted } from "@muster/common/text/text";
import { type Progress, RejectionReason, type TaskEvent } from "@muster/protocol";
import type { AttemptProgress } from "../../../../dispatch/attempts/phase-progress.ts";
import type { ReportedEvent } from "../../../../dispatch/attempts/worker-report-handler.ts";
import { type AttemptKey, parseAttemptId } from "../../../../domain/ids.ts";
import { invalidMessage } from "../../../../domain/refusals.ts";
import { toCount, toFraction } from "../../values/numbers.ts";
import { storable, storableEntries } from "../../values/text.ts";
import { MAX_TEXT } from "../../workers/limits.ts";

/** Largest budget and count of iterations. */
export const MAX_ITERATIONS = 1_000_000_000;

/** @throws Refusal `INVALID_MESSAGE` when the text is no attempt id. */
export function toAttemptKey(attemptId: string): AttemptKey {
  const key = parseAttemptId(attemptId);
  if (key) return key;
  throw invalidMessage(
    `${quoted(attemptId)} is no attempt id; send the attempt_id of an Assignment unchanged`,
  );
}

/** A lifecycle signal from protobuf. @throws Refusal `INVALID_MESSAGE` for an attempt id that is none. */
export function toEvent({ attemptId, sequence, name, attributes }: TaskEvent): ReportedEvent {
  return {
    key: toAttemptKey(attemptId),
    sequence: toCount(sequence),
    name: storable(name, 200),
    attributes: storableEntries(attributes, 64, 4_096),
  };
}

/** Progress from protobuf. */
export function toProgress(progress: Progress | undefined): AttemptProgress {
  return {
    ...(progress?.fraction === undefined ? {} : { fraction: toFraction(progress.fraction) }),
    ...(progress?.doneCount === undefined ? {} : { done: toCount(progress.doneCount) }),
    ...(progress?.totalCount === undefined ? {} : { total: toCount(progress.totalCount) }),
    ...(progress && UNIT_NAME.test(progress.unit) ? { unit: progress.unit } : {}),
    message: storable(progress?.message ?? "", MAX_TEXT),
  };
}

/** Iterations that a task has begun; undefined when its handler counts none. */
export function toIterations(count: number): number | undefined {
  return count <= 0 ? undefined : Math.min(count, MAX_ITERATIONS);
}

/** Word for a rejection's reason. */
export function toRejection(reason: RejectionReason): string {
  switch (reason) {
    case RejectionReason.UNKNOWN_TYPE:
      return "unknown_type";
    case RejectionReason.NO_SLOT:
      return "no_slot";
    case RejectionReason.DRAINING:
      return "draining";
    case RejectionReason.PAUSED:
      return "paused";
    case RejectionReason.RESOURCE_MISSING:
      return "resource_missing";
    default:
      return "unspecified";
  }
}
