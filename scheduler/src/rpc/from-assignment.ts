import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { type Assignment, AssignmentSchema } from "@muster/protocol";
import type { OutgoingAssignment } from "../dispatch/link.ts";
import { formatAttemptId, formatTaskId } from "../domain/ids.ts";

/** An assignment in protobuf. */
export function fromAssignment(assignment: OutgoingAssignment): Assignment {
  const { key, options } = assignment;
  const runMs = options?.timeouts?.runMs;
  return create(AssignmentSchema, {
    attemptId: formatAttemptId(key),
    taskId: formatTaskId(key.taskId),
    type: assignment.type,
    queue: assignment.queue,
    attemptNumber: assignment.attemptNumber,
    maxAttemptCount: assignment.maxAttempts,
    payload: assignment.payload,
    contentType: assignment.contentType,
    headers: { ...assignment.headers },
    ...(runMs === undefined ? {} : { runTimeout: durationFromMs(runMs) }),
    phaseTimeouts: Object.fromEntries(
      Object.entries(options?.timeouts?.phasesMs ?? {}).map(([phase, ms]) => [phase, durationFromMs(ms)]),
    ),
    resources: [...assignment.resources],
  });
}
