/** Repeats a statement on a task that another one moves between states or tables at the same moment. */

/** A task that moves this often during one request is moved by a fault. */
const MAX_MOVES = 100;

/** The answer of a step that missed the task: it has moved meanwhile. */
export const MOVED = Symbol("moved");

/**
 * Repeats the step until it finds the task where it looks.
 *
 * @param done What is done with the task, for the error, for example `cancelled`.
 */
export async function untilFound<T>(
  taskId: number,
  done: string,
  step: () => Promise<T | typeof MOVED>,
): Promise<T> {
  for (let move = 0; move < MAX_MOVES; move++) {
    const result = await step();
    if (result !== MOVED) return result;
  }
  throw new Error(`task ${taskId} could not be ${done}: it moved ${MAX_MOVES} times meanwhile`);
}
