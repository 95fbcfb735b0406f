/** The attempts of an ended task. */
import type { AttemptRecord, TaskRecord } from "../../tasks/task.ts";

/** Every attempt of an ended task: the earlier ones, and the one that ended it. */
export function allAttempts(task: TaskRecord, earlier: readonly AttemptRecord[]): AttemptRecord[] {
  // A task that ended in the queue has no last attempt.
  if (!task.assignTime || earlier.some(({ epoch }) => epoch === task.epoch)) return [...earlier];
  const {
    epoch,
    attemptCount,
    workerId,
    build,
    detail,
    state,
    failure,
    assignTime,
    acceptTime,
    startTime,
    finishTime,
  } = task;
  const last: AttemptRecord = {
    epoch,
    number: attemptCount,
    workerId,
    build,
    outcome: state === "failed" ? "failed" : (detail ?? state),
    failure,
    assignTime,
    acceptTime,
    startTime,
    endTime: finishTime,
  };
  return [...earlier, last];
}
