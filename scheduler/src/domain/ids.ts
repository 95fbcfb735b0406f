/** An attempt: the task's inner id and the assignment number that fences it. */
export interface AttemptKey {
  readonly taskId: number;
  /** Grows by one with every assignment of the task, also those that cost no attempt. */
  readonly epoch: number;
}

const TASK_ID = /^t-([1-9][0-9]{0,15})$/;
const ATTEMPT_ID = /^t-([1-9][0-9]{0,15})\.([1-9][0-9]{0,8})$/;

/** Public form of a task id: `t-1042`. It needs no index of its own and can be read out on a phone. */
export function formatTaskId(taskId: number): string {
  return `t-${taskId}`;
}

/** Inner id of a public task id, or undefined when it has not that form. */
export function parseTaskId(text: string): number | undefined {
  const match = TASK_ID.exec(text);
  return match ? safe(Number(match[1])) : undefined;
}

/** Public form of an attempt: `t-1042.3`. */
export function formatAttemptId(key: AttemptKey): string {
  return `t-${key.taskId}.${key.epoch}`;
}

/** The attempt behind a public id, or undefined when it has not that form. */
export function parseAttemptId(text: string): AttemptKey | undefined {
  const match = ATTEMPT_ID.exec(text);
  if (!match) return undefined;
  const taskId = safe(Number(match[1]));
  return taskId === undefined ? undefined : { taskId, epoch: Number(match[2]) };
}

function safe(value: number): number | undefined {
  return Number.isSafeInteger(value) ? value : undefined;
}
