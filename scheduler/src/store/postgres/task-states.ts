/** The numbers that task states have in the tables, for statements and for their parameters. */
import { END_STATES, OPEN_STATES, type TaskState } from "../../domain/tasks/task.ts";

/** Number of each state in `task.state` and `task_finished.state`. The numbers are stored: they never change. */
export const STATE = {
  queued: 0,
  assigned: 1,
  running: 2,
  succeeded: 3,
  failed: 4,
  cancelled: 5,
} as const satisfies Record<TaskState, number>;

/** For `state in ${ACTIVE}`: a session holds the task. */
export const ACTIVE = `(${STATE.assigned}, ${STATE.running})`;

const NAMES = new Map<number, TaskState>(
  [...OPEN_STATES, ...END_STATES].map((state) => [STATE[state], state]),
);

/** The state of a number from the tables. */
export function stateOf(number: number): TaskState {
  const state = NAMES.get(number);
  if (state === undefined) {
    throw new Error(`a task has the state ${number}; this version of Muster has 0 to ${NAMES.size - 1}`);
  }
  return state;
}
