/** Reads the dependencies of a task in both directions. */
import {
  type LinkedTask,
  MAX_PREDECESSORS,
  type TaskLinks,
} from "../../../domain/tasks/dependencies/dependencies.ts";
import type { EndState } from "../../../domain/tasks/task.ts";
import type { Database, Statement } from "../connection/database.ts";
import { stateOf } from "../task-states.ts";

/** Columns of a dependency `d` and of the task at its other side. */
export const LINKED_COLUMNS = `d.id, d.success, d.end_state, d.end_time, t.state, t.detail, t.create_time, c.queue, c.type`;

/** The task with the id of `d`, open or ended. */
export const linked = (id: string) => `left join lateral (
      select class_id, state, case when hold is not null then 'held' end as detail, create_time from task where id = ${id}
      union all
      select class_id, state, detail, create_time from task_finished where id = ${id}) t on true
    left join task_class c on c.id = t.class_id`;

const PREDECESSORS: Statement = {
  name: "dependency-predecessors",
  text: `select d.predecessor_id as task_id, ${LINKED_COLUMNS}
    from task_dependency d ${linked("d.predecessor_id")}
   where d.task_id = $1 and d.predecessor_id > 0 order by d.id limit ${MAX_PREDECESSORS}`,
};

const DEPENDENTS: Statement = {
  name: "dependency-dependents",
  text: `select d.task_id, ${LINKED_COLUMNS}
    from (select * from task_dependency where predecessor_id = $1 and id > $2 order by id limit $3) d ${linked("d.task_id")}
   order by d.id`,
};

const COUNT: Statement = {
  name: "dependency-count",
  text: "select count(*) as count from task_dependency where predecessor_id = $1",
};

/** A row with them. */
export interface LinkedRow {
  id: number;
  task_id: number;
  success: boolean;
  end_state: number | null;
  end_time: Date | null;
  state: number | null;
  detail: string | null;
  create_time: Date | null;
  queue: string | null;
  type: string | null;
}

/** What a task waits or waited for; of a completion task the first members of its batch. */
export async function predecessors(db: Database, taskId: number): Promise<LinkedTask[]> {
  return (await db.cold<LinkedRow>(PREDECESSORS, [taskId])).map(toLinked);
}

/** The same with the tasks that wait or waited for it: at most `limit` of them after a position. */
export async function taskLinks(
  db: Database,
  taskId: number,
  after: number,
  limit: number,
): Promise<TaskLinks> {
  const rows = await db.cold<LinkedRow>(DEPENDENTS, [taskId, after, limit + 1]);
  const page = rows.slice(0, limit);
  const [row] = await db.cold<{ count: number }>(COUNT, [taskId]);
  return {
    predecessors: await predecessors(db, taskId),
    dependents: page.map(toLinked),
    lastPosition: rows.length > limit ? page.at(-1)?.id : undefined,
    dependentCount: row?.count ?? 0,
  };
}

export function toLinked(row: LinkedRow): LinkedTask {
  return {
    taskId: row.task_id,
    condition: row.success ? "succeeded" : "ended",
    state: row.state === null ? undefined : stateOf(row.state),
    detail: row.detail ?? undefined,
    type: row.type ?? undefined,
    queue: row.queue ?? undefined,
    createTime: row.create_time ?? undefined,
    counted:
      row.end_state === null || row.end_time === null
        ? undefined
        : { state: stateOf(row.end_state) as EndState, time: row.end_time },
  };
}
