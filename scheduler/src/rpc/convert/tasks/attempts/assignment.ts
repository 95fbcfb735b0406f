// An assignment in protobuf.

import { create } from "@bufbuild/protobuf";
import { type Assignment, AssignmentSchema } from "@muster/protocol";
import type { OutgoingAssignment } from "../../../../dispatch/sessions/link.ts";
import { formatAttemptId, formatTaskId } from "../../../../domain/ids.ts";
import { fromScheduleTick } from "../../schedules/schedule-tick.ts";
import { fromCost } from "../../values/amounts.ts";
import { optional } from "../../values/optional.ts";
import { durationFromMs, durations } from "../../values/time.ts";
import { fromCheckpoint } from "./checkpoint.ts";
import { fromProgress } from "./progress.ts";
import { fromAssignedSteps } from "./step.ts";

/** An assignment in protobuf. */
export function fromAssignment(assignment: OutgoingAssignment): Assignment {
  const { key, options } = assignment;
  const runMs = options?.timeouts?.runMs;
  const earlier = options?.earlierProgress;
  return create(AssignmentSchema, {
    attemptId: formatAttemptId(key),
    taskId: formatTaskId(key.taskId),
    taskType: assignment.type,
    queue: assignment.queue,
    attemptNumber: assignment.attemptNumber,
    maxAttemptCount: assignment.maxAttempts,
    payload: assignment.payload,
    contentType: assignment.contentType,
    headers: { ...assignment.headers },
    ...(runMs === undefined ? {} : { runTimeout: durationFromMs(runMs) }),
    phaseTimeouts: durations(options?.timeouts?.phasesMs),
    phaseWarnings: durations(options?.watchdogs?.phasesMs),
    resources: [...assignment.resources],
    cost: fromCost(assignment.cost),
    maxIterationCount: options?.maxIterations ?? 0,
    iterationCount: options?.iterations ?? 0,
    steps: options?.steps ? fromAssignedSteps(options.steps) : [],
    ...optional("scheduleTick", options?.tick && fromScheduleTick(options.tick)),
    ...optional("earlierProgress", earlier && fromProgress({ ...earlier, at: new Date(earlier.at) })),
    ...optional("resumePoint", assignment.checkpoint && fromCheckpoint(key.taskId, assignment.checkpoint)),
  });
}
