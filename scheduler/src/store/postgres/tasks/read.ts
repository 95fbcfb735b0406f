/** Reads tasks, open and ended: one, one that is followed, and lists. */
import { END_STATES, OPEN_STATES, type TaskRecord, type TaskState } from "../../../domain/tasks/task.ts";
import type { TaskFilter } from "../../store.ts";
import type { Database, Statement } from "../connection/database.ts";
import { STATE } from "../task-states.ts";
import {
  ENDED_COLUMNS,
  ENDED_COLUMNS_AND_BODIES,
  LISTED_COLUMNS,
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
  select t.*, ${RELATED_COLUMNS} ${RELATED}`,
};

/** @param tagged A further condition on tasks `t`. */
const list = (tagged = ""): string => `with t as (
    (select ${OPEN_COLUMNS} from task t
      where ($1::bigint is null or t.id < $1) and t.state = any($2::smallint[])
        and ($3::text is null and $4::text is null or t.class_id in (
          select id from task_class where queue = coalesce($3, queue) and type = coalesce($4, type)))
        and $5::text is null
        and ($6::text is null or t.session_id in (select id from worker_session where worker_id = $6))${tagged}
      order by t.id desc limit $7)
    union all
    (select ${ENDED_COLUMNS} from task_finished t
      where ($1::bigint is null or t.id < $1) and t.state = any($2::smallint[])
        and ($3::text is null and $4::text is null or t.class_id in (
          select id from task_class where queue = coalesce($3, queue) and type = coalesce($4, type)))
        and ($5::text is null or t.detail = $5)
        and ($6::text is null or t.session_id in (select id from worker_session where worker_id = $6))${tagged}
      order by t.id desc limit $7))
  select ${LISTED_COLUMNS}, ${RELATED_COLUMNS} ${RELATED} order by t.id desc limit $7`;

const LIST: Statement = { name: "task-list", text: list() };

// The first condition is that of the indexes. Without a name it is planned for its tags: few tasks have a rare one and are
// found by their index, a common one is found from the newest task on.
const LIST_TAGGED: Statement = {
  name: "",
  text: list(" and t.options ? 'tags' and t.options -> 'tags' @> $8::jsonb"),
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

/** Tasks, newest first. */
export async function listTasks(db: Database, filter: TaskFilter): Promise<TaskRecord[]> {
  const states: readonly TaskState[] =
    filter.states.length > 0 ? filter.states : [...OPEN_STATES, ...END_STATES];
  const values = [
    filter.beforeId ?? null,
    states.map((state) => STATE[state]),
    filter.queue ?? null,
    filter.type ?? null,
    filter.detail ?? null,
    filter.workerId ?? null,
    filter.limit,
  ];
  const rows =
    filter.tags.length === 0
      ? await db.cold<TaskColumns>(LIST, values)
      : await db.cold<TaskColumns>(LIST_TAGGED, [...values, JSON.stringify(filter.tags)]);
  return rows.map(toTaskRecord);
}
