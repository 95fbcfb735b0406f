/** Repeats a statement on tasks that others move between states or tables at the same moment. */

/** A task that moves this often during one request is moved by a fault. */
const MAX_MOVES = 100;

/** The answer of a step that missed a task: it has moved meanwhile. */
export const MOVED = Symbol("moved");

/**
 * Repeats the step until it finds the task where it looks.
 *
 * @param done What is done with the task, for the error, for example `cancelled`.
 */
export function untilFound<T>(
  taskId: number,
  done: string,
  step: () => Promise<T | typeof MOVED>,
): Promise<T> {
  return untilAllFound(() => [taskId], done, step);
}

/** Likewise with several tasks. @param missed Those that the last step missed. */
export async function untilAllFound<T>(
  missed: () => readonly number[],
  done: string,
  step: () => Promise<T | typeof MOVED>,
): Promise<T> {
  for (let move = 0; move < MAX_MOVES; move++) {
    const result = await step();
    if (result !== MOVED) return result;
  }
  const [first, ...others] = missed();
  const more = others.length > 0 ? ` and ${others.length} more` : "";
  throw new Error(`task ${first}${more} could not be ${done}: it moved ${MAX_MOVES} times meanwhile`);
}
