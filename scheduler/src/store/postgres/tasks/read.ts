/** Reads tasks, open and ended: one, one that is followed, and those that are held. */

import type { TaskRecord } from "../../../domain/tasks/task.ts";
import type { HeldTasks } from "../../store.ts";
import type { Database, Statement } from "../connection/database.ts";
import {
  ENDED_COLUMNS,
  ENDED_COLUMNS_AND_BODIES,
  OPEN_COLUMNS,
  OPEN_COLUMNS_AND_BODIES,
  RELATED_COLUMNS,
  type TaskColumns,
  toTaskRecord,
} from "./task-columns.ts";

const RELATED = `from t join task_class c on c.id = t.class_id left join worker_session s on s.id = t.session_id`;

// Without the bodies, which may have megabytes.
const FOLLOWED: Statement = {
  name: "task-followed",
  text: `with t as (
    select ${OPEN_COLUMNS}, t.xmin::text as version from task t where t.id = $1
    union all
    select ${ENDED_COLUMNS}, '' from task_finished t where t.id = $1)
  select t.*, ${RELATED_COLUMNS} ${RELATED}`,
};

const GET: Statement = {
  name: "task-get",
  text: `with t as (
    select ${OPEN_COLUMNS_AND_BODIES} from task t where t.id = $1
    union all
    select ${ENDED_COLUMNS_AND_BODIES} from task_finished t where t.id = $1)
  select t.*, ${RELATED_COLUMNS}, s.hello ->> 'buildId' as build ${RELATED}`,
};

// Few tasks are held, and each is found by the index of held ones.
const LONGEST_HELD: Statement = {
  name: "task-longest-held",
  text: `select id, hold ->> 'reason' as reason, (hold ->> 'time')::timestamptz as since, count(*) over ()::int as count
    from task where hold is not null order by since, id limit $1`,
};

/** The task, open or ended. */
export async function getTask(db: Database, id: number): Promise<TaskRecord | undefined> {
  const [row] = await db.cold<TaskColumns>(GET, [id]);
  return row && toTaskRecord(row);
}

/** The task without payload and output, and the version of its row. */
export async function followedTask(
  db: Database,
  id: number,
): Promise<{ task: TaskRecord; version: string } | undefined> {
  const [row] = await db.cold<TaskColumns & { version: string }>(FOLLOWED, [id]);
  return row && { task: toTaskRecord(row), version: row.version };
}

/** The tasks that have been held for longest, and how many are held. */
export async function longestHeld(db: Database, limit: number): Promise<HeldTasks> {
  const rows = await db.cold<{ id: number; reason: string; since: Date; count: number }>(LONGEST_HELD, [
    limit,
  ]);
  return {
    count: rows[0]?.count ?? 0,
    tasks: rows.map(({ id, reason, since }) => ({ id, hold: { reason, since } })),
  };
}
