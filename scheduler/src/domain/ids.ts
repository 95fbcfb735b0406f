/** An attempt: the task's inner id and the assignment number that fences it. */
export interface AttemptKey {
  readonly taskId: number;
  /** Grows by one with every assignment of the task, also those that cost no attempt. */
  readonly epoch: number;
}

/** Digits of the largest id that is a safe integer, and of the largest epoch, an int4. */
const MAX_ID_DIGITS = 16;
const MAX_EPOCH_DIGITS = 9;

/** Public form of a task id: `t-1042`. It needs no index of its own and can be read out on a phone. */
export function formatTaskId(taskId: number): string {
  return `t-${taskId}`;
}

/** Inner id of a public task id, or undefined when it has not that form. */
export function parseTaskId(text: string): number | undefined {
  return text.startsWith("t-") ? decimal(text, 2, text.length, MAX_ID_DIGITS) : undefined;
}

/** Public form of an attempt: `t-1042.3`. */
export function formatAttemptId(key: AttemptKey): string {
  return `t-${key.taskId}.${key.epoch}`;
}

/** The attempt behind a public id, or undefined when it has not that form. */
export function parseAttemptId(text: string): AttemptKey | undefined {
  const dot = text.indexOf(".");
  if (dot < 0 || !text.startsWith("t-")) return undefined;
  const taskId = decimal(text, 2, dot, MAX_ID_DIGITS);
  const epoch = decimal(text, dot + 1, text.length, MAX_EPOCH_DIGITS);
  return taskId === undefined || epoch === undefined ? undefined : { taskId, epoch };
}

const ZERO = 0x30;

/** A positive number without leading zeros. By hand: every task has three attempt ids read, a match allocates. */
function decimal(text: string, start: number, end: number, maxDigits: number): number | undefined {
  if (end <= start || end - start > maxDigits || text.charCodeAt(start) === ZERO) return undefined;
  let value = 0;
  for (let at = start; at < end; at++) {
    const digit = text.charCodeAt(at) - ZERO;
    if (digit < 0 || digit > 9) return undefined;
    value = value * 10 + digit;
  }
  return Number.isSafeInteger(value) ? value : undefined;
}
