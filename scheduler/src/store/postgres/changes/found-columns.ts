/** The columns of a task that decide whether it is changed. */
import type { FoundTask } from "../../../domain/tasks/task-change.ts";
import { IS_WAITING } from "../dependencies/links.ts";
import { stateOf } from "../task-states.ts";

const BOTH = "t.id, t.state, t.class_id, t.priority, t.unique_key";

/** Of a row `t` of each table. The sizes of large values are read without the values. */
export const FOUND_COLUMNS = {
  task: `${BOTH}, t.wake_time is not null and t.hold is null as waits_for_time, ${IS_WAITING} as waits_for_tasks, octet_length(t.payload) as bytes`,
  task_finished: `${BOTH}, false as waits_for_time, false as waits_for_tasks,
    octet_length(t.payload) + coalesce(octet_length(t.output), 0) as bytes`,
} as const;

/** The queue of a row `t` with these columns. */
export const QUEUE_COLUMN = "(select c.queue from task_class c where c.id = t.class_id) as queue";

/** A row with these columns. */
export interface FoundColumns {
  id: number;
  state: number;
  class_id: number;
  priority: number;
  unique_key: string | null;
  waits_for_time: boolean;
  waits_for_tasks: boolean;
  bytes: number;
  queue: string;
}

export function toFoundTask(row: FoundColumns): FoundTask {
  return {
    id: row.id,
    state: stateOf(row.state),
    classId: row.class_id,
    priority: row.priority,
    queue: row.queue,
    uniqueKey: row.unique_key ?? undefined,
    waitsForTime: row.waits_for_time,
    waitsForTasks: row.waits_for_tasks,
    bytes: row.bytes,
  };
}
