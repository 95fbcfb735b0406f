/** Decodes assignments by hand. */
import { fromBinary } from "@bufbuild/protobuf";
import { BinaryReader } from "@bufbuild/protobuf/wire";
import type { Assignment, SchedulerMessage } from "@muster/protocol";
import {
  AssignmentSchema,
  assertEnd,
  lengthDelimited,
  readEnd,
  SchedulerMessageSchema,
  TaskAssignmentsSchema,
  varint,
} from "@muster/protocol";

/** An Assignment without the fields that every protobuf message has. */
export type IncomingAssignment = Omit<Assignment, "$typeName" | "$unknown">;

/** The parts of a SchedulerMessage of TaskAssignments that its reader uses. */
export interface AssignmentsFrame {
  readonly kind: {
    readonly case: "assignments";
    readonly value: { readonly assignments: readonly IncomingAssignment[] };
  };
}

/** A message that a worker's stream receives. */
export type Incoming = SchedulerMessage | AssignmentsFrame;

const field = AssignmentSchema.field;
const ASSIGNMENTS = lengthDelimited(SchedulerMessageSchema.field.assignments);
const ASSIGNMENT = lengthDelimited(TaskAssignmentsSchema.field.assignments);
const ATTEMPT_ID = lengthDelimited(field.attemptId);
const TASK_ID = lengthDelimited(field.taskId);
const TASK_TYPE = lengthDelimited(field.taskType);
const QUEUE = lengthDelimited(field.queue);
const ATTEMPT_NUMBER = varint(field.attemptNumber);
const MAX_ATTEMPT_COUNT = varint(field.maxAttemptCount);
const PAYLOAD = lengthDelimited(field.payload);
const CONTENT_TYPE = lengthDelimited(field.contentType);
const HEADERS = lengthDelimited(field.headers);
const KEY = lengthDelimited({ number: 1 });
const VALUE = lengthDelimited({ number: 2 });

/** Reads a SchedulerMessage. @throws Error for bytes that are none. */
export function readIncoming(bytes: Uint8Array): Incoming {
  return readAssignmentsFrame(bytes) ?? fromBinary(SchedulerMessageSchema, bytes);
}

/**
 * Reads a frame of TaskAssignments field by field: 0.23 instead of 0.55 µs each. An assignment with timeouts,
 * resources or a cost is read by the generated decoder. Undefined when the message is of another kind.
 */
function readAssignmentsFrame(bytes: Uint8Array): AssignmentsFrame | undefined {
  if (bytes.byteLength === 0) return undefined;
  const reader = new BinaryReader(bytes);
  if (reader.uint32() !== ASSIGNMENTS) return undefined;
  const end = readEnd(reader, bytes.byteLength);
  if (end !== bytes.byteLength) return undefined;
  const assignments: IncomingAssignment[] = [];
  while (reader.pos < end) {
    if (reader.uint32() !== ASSIGNMENT) return undefined;
    const assignmentEnd = readEnd(reader, end);
    const start = reader.pos;
    assignments.push(
      readPlain(reader, assignmentEnd) ?? fromBinary(AssignmentSchema, bytes.subarray(start, assignmentEnd)),
    );
    reader.pos = assignmentEnd;
  }
  return { kind: { case: "assignments", value: { assignments } } };
}

const NONE: Readonly<Record<string, never>> = Object.freeze({});
const NO_RESOURCES: string[] = [];
const NO_STEPS: Assignment["steps"] = [];
const NO_PAYLOAD: Uint8Array = new Uint8Array();

/** Undefined when the assignment has a field that most have not. */
function readPlain(reader: BinaryReader, end: number): IncomingAssignment | undefined {
  const assignment = {
    attemptId: "",
    taskId: "",
    taskType: "",
    queue: "",
    attemptNumber: 0,
    maxAttemptCount: 0,
    payload: NO_PAYLOAD,
    contentType: "",
    headers: NONE as Record<string, string>,
    phaseTimeouts: NONE,
    phaseWarnings: NONE,
    resources: NO_RESOURCES,
    cost: NONE,
    maxIterationCount: 0,
    iterationCount: 0,
    steps: NO_STEPS,
  };
  while (reader.pos < end) {
    switch (reader.uint32()) {
      case ATTEMPT_ID:
        assignment.attemptId = reader.string(true);
        break;
      case TASK_ID:
        assignment.taskId = reader.string(true);
        break;
      case TASK_TYPE:
        assignment.taskType = reader.string(true);
        break;
      case QUEUE:
        assignment.queue = reader.string(true);
        break;
      case ATTEMPT_NUMBER:
        assignment.attemptNumber = reader.int32();
        break;
      case MAX_ATTEMPT_COUNT:
        assignment.maxAttemptCount = reader.int32();
        break;
      case PAYLOAD:
        assignment.payload = reader.bytes();
        break;
      case CONTENT_TYPE:
        assignment.contentType = reader.string(true);
        break;
      case HEADERS:
        if (assignment.headers === NONE) assignment.headers = {};
        if (!readEntry(reader, readEnd(reader, end), assignment.headers)) return undefined;
        break;
      default:
        return undefined;
    }
  }
  assertEnd(reader, end);
  return assignment;
}

function readEntry(reader: BinaryReader, end: number, into: Record<string, string>): boolean {
  let key = "";
  let value = "";
  while (reader.pos < end) {
    const tag = reader.uint32();
    if (tag === KEY) key = reader.string(true);
    else if (tag === VALUE) value = reader.string(true);
    else return false;
  }
  assertEnd(reader, end);
  into[key] = value;
  return true;
}
