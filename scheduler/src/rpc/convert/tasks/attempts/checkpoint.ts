// Checkpoints from and to protobuf.
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type CheckpointAckSchema,
  type CheckpointSummary as CheckpointSummaryMessage,
  CheckpointSummarySchema,
  MAX_CHECKPOINT_BYTES,
  type ResumePointSchema,
  type TaskCheckpoint,
} from "@muster/protocol";
import type { CheckpointAck } from "../../../../dispatch/sessions/link.ts";
import { formatAttemptId } from "../../../../domain/ids.ts";
import type { Checkpoint, CheckpointSummary } from "../../../../domain/tasks/attempts/checkpoint.ts";
import type { NewCheckpoint } from "../../../../store/store.ts";
import { toCount } from "../../values/numbers.ts";
import { storable } from "../../values/text.ts";
import { durationFromMs, timestampFromDate } from "../../values/time.ts";
import { toAttemptKey } from "./attempt-report.ts";

const MAX_CONTENT_TYPE = 255;

/** A checkpoint of a worker, or the answer to one that cannot be stored. @throws Refusal `INVALID_MESSAGE` */
export function toCheckpoint({
  attemptId,
  sequence,
  value,
  contentType,
}: TaskCheckpoint): NewCheckpoint | (CheckpointAck & { readonly error: string }) {
  const given = { key: toAttemptKey(attemptId), sequence: toCount(sequence) };
  if (value.byteLength > MAX_CHECKPOINT_BYTES) {
    const error = `the checkpoint has ${value.byteLength} bytes; at most ${MAX_CHECKPOINT_BYTES} are stored`;
    return { ...given, error };
  }
  const stored = storable(contentType, MAX_CONTENT_TYPE);
  if (stored !== contentType)
    return { ...given, error: `content_type is not a text of at most ${MAX_CONTENT_TYPE} characters` };
  return { ...given, value, contentType: contentType || "application/json" };
}

/** The answer to a checkpoint. */
export function fromCheckpointAck(ack: CheckpointAck): MessageInitShape<typeof CheckpointAckSchema> {
  const { key, sequence, error = "", stale = false } = ack;
  return { attemptId: formatAttemptId(key), sequence: BigInt(sequence), error, stale };
}

/** The last checkpoint of a task, for its next attempt. */
export function fromCheckpoint(
  taskId: number,
  { epoch, value, contentType, ageMs }: Checkpoint,
): MessageInitShape<typeof ResumePointSchema> {
  return { attemptId: formatAttemptId({ taskId, epoch }), value, contentType, age: durationFromMs(ageMs) };
}

/** What is known of the last checkpoint of a task. */
export function fromCheckpointSummary(
  taskId: number,
  { epoch, valueBytes, contentType, updateTime }: CheckpointSummary,
): CheckpointSummaryMessage {
  return create(CheckpointSummarySchema, {
    attemptId: formatAttemptId({ taskId, epoch }),
    valueBytes: BigInt(valueBytes),
    contentType,
    updateTime: timestampFromDate(updateTime),
  });
}
