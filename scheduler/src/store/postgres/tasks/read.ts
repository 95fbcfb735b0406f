/** Reads tasks, open and ended: one, one that is followed, and lists. */

import type { StepCondition } from "../../../domain/tasks/attempts/step.ts";
import { HELD_DETAIL } from "../../../domain/tasks/hold.ts";
import { END_STATES, OPEN_STATES, type TaskRecord, type TaskState } from "../../../domain/tasks/task.ts";
import type { HeldTasks, TaskFilter, TasksWithStep } from "../../store.ts";
import type { Database, Statement } from "../connection/database.ts";
import { Parameters } from "../parameters.ts";
import { STATE } from "../task-states.ts";
import { hasStep, indexedBySteps } from "./reports/steps.ts";
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
  select t.*, ${RELATED_COLUMNS}, s.hello ->> 'buildId' as build ${RELATED}`,
};

/**
 * @param open A further condition on open tasks `t`. @param ended The same for ended ones.
 * @param from Where the rows `t` of a table come from.
 */
const list = (open = "", ended = open, from = (table: string): string => table): string => `with t as (
    (select ${OPEN_COLUMNS} from ${from("task")} t
      where ($1::bigint is null or t.id < $1) and t.state = any($2::smallint[])
        and ($3::text is null and $4::text is null or t.class_id in (
          select id from task_class where queue = coalesce($3, queue) and type = coalesce($4, type)))
        and $5::text is null
        and ($6::text is null or t.session_id in (select id from worker_session where worker_id = $6))${open}
      order by t.id desc limit $7)
    union all
    (select ${ENDED_COLUMNS} from ${from("task_finished")} t
      where ($1::bigint is null or t.id < $1) and t.state = any($2::smallint[])
        and ($3::text is null and $4::text is null or t.class_id in (
          select id from task_class where queue = coalesce($3, queue) and type = coalesce($4, type)))
        and ($5::text is null or t.detail = $5)
        and ($6::text is null or t.session_id in (select id from worker_session where worker_id = $6))${ended}
      order by t.id desc limit $7))
  select ${LISTED_COLUMNS}, ${RELATED_COLUMNS} ${RELATED} order by t.id desc limit $7`;

// The first condition is that of the indexes.
const TAGGED = " and t.options ? 'tags' and t.options -> 'tags' @> $8::jsonb";
const HELD = " and t.hold is not null";

/** Statements for lists of all tasks, and for those that are held. */
const LIST = {
  all: { name: "task-list", text: list() },
  held: { name: "task-list-held", text: list(HELD, " and false") },
} satisfies Record<string, Statement>;

// Without a name they are planned for their tags: few tasks have a rare one and are found by their index, a common one is
// found from the newest task on.
const LIST_TAGGED = {
  all: { name: "", text: list(TAGGED) },
  held: { name: "", text: list(`${HELD}${TAGGED}`, " and false and $8::jsonb is not null") },
} satisfies Record<string, Statement>;

/** Tasks with steps that are looked at for one page: 20,000 with a step that does not match took 0.1 s. */
const MAX_LOOKED_AT = 20_000;

const TABLES = ["task", "task_finished"] as const;

/** The newest rows of a table that may have such a step, by their index. */
const stepped = (
  step: StepCondition,
  table: (typeof TABLES)[number],
  columns: string,
  limit: string,
): string =>
  `select ${columns} from ${table} t
    where ($1::bigint is null or t.id < $1) and ${indexedBySteps(step, table)} order by t.id desc ${limit}`;

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

/** Tasks, newest first. */
export async function listTasks(db: Database, filter: TaskFilter): Promise<TaskRecord[]> {
  const kind = filter.detail === HELD_DETAIL ? "held" : "all";
  const values = listValues(filter);
  const rows =
    filter.tags.length === 0
      ? await db.cold<TaskColumns>(LIST[kind], values)
      : await db.cold<TaskColumns>(LIST_TAGGED[kind], [...values, JSON.stringify(filter.tags)]);
  return rows.map(toTaskRecord);
}

/** Tasks with such a step, newest first. The look at each table ends at the newest rows that may have it. */
export async function tasksWithStep(
  db: Database,
  filter: TaskFilter,
  step: StepCondition,
): Promise<TasksWithStep> {
  const parameters = Parameters.after(listValues(filter));
  const matches = hasStep(parameters.add(step.name, "text"), parameters.add(step.states, "text[]"));
  const tagged =
    filter.tags.length === 0
      ? ""
      : ` and t.options -> 'tags' @> ${parameters.add(JSON.stringify(filter.tags), "jsonb")}`;
  const wanted = ` and ${matches}${tagged}`;
  const isHeld = filter.detail === HELD_DETAIL;
  const text = list(
    isHeld ? `${HELD}${wanted}` : wanted,
    isHeld ? ` and false${wanted}` : wanted,
    (table) => {
      const of = table === "task" ? "task" : "task_finished";
      return `(${stepped(step, of, "t.*", `limit ${MAX_LOOKED_AT}`)})`;
    },
  );
  const rows = await db.cold<TaskColumns>({ name: "", text }, parameters.values);
  if (rows.length >= filter.limit) return { tasks: rows.map(toTaskRecord), beforeId: undefined };
  // Where the looks ended: what is older was seen of one table at most.
  const ends = TABLES.map(
    (table) => `(${stepped(step, table, "t.id", `offset ${MAX_LOOKED_AT - 1} limit 1`)})`,
  );
  const [end] = await db.cold<{ id: number | null }>(
    { name: "", text: `select greatest(${ends.join(", ")}) as id` },
    [filter.beforeId ?? null],
  );
  const beforeId = end?.id ?? undefined;
  const seen = beforeId === undefined ? rows : rows.filter(({ id }) => id >= beforeId);
  return { tasks: seen.map(toTaskRecord), beforeId };
}

function listValues(filter: TaskFilter): unknown[] {
  const states: readonly TaskState[] =
    filter.states.length > 0 ? filter.states : [...OPEN_STATES, ...END_STATES];
  return [
    filter.beforeId ?? null,
    states.map((state) => STATE[state]),
    filter.queue ?? null,
    filter.type ?? null,
    filter.detail === HELD_DETAIL ? null : (filter.detail ?? null),
    filter.workerId ?? null,
    filter.limit,
  ];
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
