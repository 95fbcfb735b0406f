import type { Attempt } from "../sessions/session.ts";

/** An attempt as an assignment at moment 0 makes it: task 1, epoch 1, type `t`, with what the test gives. */
export function madeAttempt(given: Partial<Attempt> = {}): Attempt {
  return {
    taskId: 1,
    epoch: 1,
    classId: 1,
    type: "t",
    attemptCount: 1,
    outOfMemoryCount: 0,
    requeueCounts: undefined,
    alone: false,
    options: undefined,
    cancelReason: undefined,
    sentAt: 0,
    assigned: undefined,
    acceptedAt: undefined,
    startedAt: undefined,
    phase: undefined,
    phaseAt: 0,
    progress: undefined,
    unwritten: { accept: false, phase: false, progress: false },
    sequence: 0,
    committing: false,
    heldUp: undefined,
    reported: false,
    timedOut: undefined,
    watch: undefined,
    ...given,
  };
}
