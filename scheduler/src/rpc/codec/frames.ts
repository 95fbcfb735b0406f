/** Encodes the frequent messages to workers by hand. */
import { toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import {
  AssignmentSchema,
  ResultAckSchema,
  ResultAcksSchema,
  SchedulerMessageSchema,
  TaskAssignmentsSchema,
} from "@muster/protocol";
import type { OutgoingAssignment, ResultAck } from "../../dispatch/sessions/link.ts";
import { formatAttemptId, formatTaskId } from "../../domain/ids.ts";
import { fromAssignment } from "../convert/tasks/attempts/assignment.ts";

/**
 * A SchedulerMessage that is encoded already. The two messages that every task costs are written field by
 * field, which spares the message objects in between.
 */
export class Frame {
  readonly bytes: Buffer;

  constructor(writer: BinaryWriter) {
    const { buffer, byteOffset, byteLength } = writer.finish();
    this.bytes = Buffer.from(buffer, byteOffset, byteLength);
  }
}

const ASSIGNMENTS = SchedulerMessageSchema.field.assignments.number;
const ASSIGNMENT = TaskAssignmentsSchema.field.assignments.number;
const RESULT_ACKS = SchedulerMessageSchema.field.resultAcks.number;
const ACK = ResultAcksSchema.field.acks.number;
const ACK_ATTEMPT_ID = ResultAckSchema.field.attemptId.number;
const ACK_STALE = ResultAckSchema.field.stale.number;
const ACK_DETAIL = ResultAckSchema.field.detail.number;
const { attemptId, taskId, taskType, queue, attemptNumber, maxAttemptCount, payload, contentType, headers } =
  AssignmentSchema.field;

/** A frame of TaskAssignments. */
export function assignmentsFrame(assignments: readonly OutgoingAssignment[]): Frame {
  const writer = new BinaryWriter().tag(ASSIGNMENTS, WireType.LengthDelimited).fork();
  for (const assignment of assignments) {
    writer.tag(ASSIGNMENT, WireType.LengthDelimited);
    const { options, resources, cost } = assignment;
    if (options !== undefined || resources.length > 0 || cost !== undefined) {
      writer.bytes(toBinary(AssignmentSchema, fromAssignment(assignment)));
    } else writePlain(writer.fork(), assignment).join();
  }
  return new Frame(writer.join());
}

/** A frame of ResultAcks. */
export function resultAcksFrame(acks: readonly ResultAck[]): Frame {
  const writer = new BinaryWriter().tag(RESULT_ACKS, WireType.LengthDelimited).fork();
  for (const { key, stale } of acks) {
    writer.tag(ACK, WireType.LengthDelimited).fork();
    writer.tag(ACK_ATTEMPT_ID, WireType.LengthDelimited).string(formatAttemptId(key));
    if (stale) {
      writer.tag(ACK_STALE, WireType.Varint).bool(true);
      writer.tag(ACK_DETAIL, WireType.LengthDelimited).string("the attempt is no longer this worker's");
    }
    writer.join();
  }
  return new Frame(writer.join());
}

/** An assignment without options, required resources and a cost, as nearly all are. */
function writePlain(writer: BinaryWriter, assignment: OutgoingAssignment): BinaryWriter {
  writer.tag(attemptId.number, WireType.LengthDelimited).string(formatAttemptId(assignment.key));
  writer.tag(taskId.number, WireType.LengthDelimited).string(formatTaskId(assignment.key.taskId));
  writer.tag(taskType.number, WireType.LengthDelimited).string(assignment.type);
  writer.tag(queue.number, WireType.LengthDelimited).string(assignment.queue);
  writer.tag(attemptNumber.number, WireType.Varint).int32(assignment.attemptNumber);
  writer.tag(maxAttemptCount.number, WireType.Varint).int32(assignment.maxAttempts);
  if (assignment.payload.byteLength > 0) {
    writer.tag(payload.number, WireType.LengthDelimited).bytes(assignment.payload);
  }
  writer.tag(contentType.number, WireType.LengthDelimited).string(assignment.contentType);
  for (const [name, value] of Object.entries(assignment.headers ?? {})) {
    writer.tag(headers.number, WireType.LengthDelimited).fork();
    writer.tag(1, WireType.LengthDelimited).string(name);
    writer.tag(2, WireType.LengthDelimited).string(value).join();
  }
  return writer;
}
