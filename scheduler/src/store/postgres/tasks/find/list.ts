/**
 * Lists of tasks, newest first. The look of one page is bounded: a condition that few of ten million tasks meet ends a page,
 * not the patience of whoever asked.
 */
import { HELD_DETAIL } from "../../../../domain/tasks/hold.ts";
import type { TaskConditions } from "../../../../domain/tasks/task-filter.ts";
import { END_STATES, OPEN_STATES, type TaskState } from "../../../../domain/tasks/task-state.ts";
import type { TaskFilter, TaskPage } from "../../../tasks.ts";
import type { Database } from "../../connection/database.ts";
import { Parameters } from "../../parameters.ts";
import { STATE } from "../../task-states.ts";
import { indexedBySteps } from "../reports/steps.ts";
import {
  ENDED_COLUMNS,
  LISTED_COLUMNS,
  OPEN_COLUMNS,
  RELATED_COLUMNS,
  type TaskColumns,
  toTaskRecord,
} from "../task-columns.ts";
import { conditions, hasBound, hasTags, type RowConditions, type TaskTable } from "./conditions.ts";
import { type IdRange, idsOfTimes } from "./created-ids.ts";

/** Rows that are looked at for a page, by what is read of each. */
const LOOK = {
  /** Of columns that every row has. */
  plain: { task: 250_000, task_finished: 200_000 },
  /** Of JSON. */
  json: { task: 100_000, task_finished: 20_000 },
} as const;

const DAY_MS = 86_400_000;

/** Tasks that meet all conditions, newest first. */
export async function listTasks(db: Database, filter: TaskFilter): Promise<TaskPage> {
  const tables = tablesOf(filter);
  if (tables.length === 0) return { tasks: [], beforeId: undefined };
  const ids = await idsOfTimes(db, filter);
  const parameters = new Parameters();
  const most = parameters.add(filter.limit, "int");
  const isBounded = filter.tags.length === 0 || filter.step !== undefined;
  const parts = tables.map((table) => {
    const columns = table === "task" ? OPEN_COLUMNS : ENDED_COLUMNS;
    const where = outer(filter, table, parameters);
    // The planner knows how common the tags are, and with the limit of the page, whether to use their index.
    const from = isBounded
      ? `(${look(filter, table, ids, parameters, "t.*")}) t where ${where}`
      : `${table} t where ${[...indexed(filter, table, ids, parameters), where].join(" and ")}`;
    return `(select ${columns} from ${from} order by t.id desc limit ${most})`;
  });
  // The oldest row that the look has reached, of the same snapshot: a task may move between the tables.
  const end = isBounded
    ? `case when (select count(*) from t) < ${most} then greatest(${tables
        .map((table) => `(${look(filter, table, ids, parameters, "t.id", 1)})`)
        .join(", ")}) end`
    : "null::bigint";
  // Without a name it is planned for its filter: few tasks have a rare tag and are found by its index, a common one is found
  // from the newest task on.
  const text = `with t as materialized (${parts.join(" union all ")})
    select ${LISTED_COLUMNS}, ${RELATED_COLUMNS}, ended.look_end from (select ${end} as look_end) ended
      left join (t join task_class c on c.id = t.class_id left join worker_session s on s.id = t.session_id) on true
     order by t.id desc nulls last limit ${most}`;
  const found = await db.cold<ListedRow>({ name: "", text }, parameters.values);
  const beforeId = found[0]?.look_end ?? undefined;
  // What is older was looked at in one table at most.
  const rows = found.filter(({ id }) => id !== null && id >= (beforeId ?? 0));
  return { tasks: rows.map(toTaskRecord), beforeId };
}

/** A list without tasks has one row, in which the columns of the task are null. */
type ListedRow = TaskColumns & { readonly look_end: number | null };

/** The tables that can have such tasks. */
function tablesOf({ states, details, ended }: TaskFilter): TaskTable[] {
  const mayBe = (of: readonly TaskState[]) =>
    states.length === 0 || states.some((state) => of.includes(state));
  const held = details.includes(HELD_DETAIL);
  const ofEnded = (details.length > 0 && !held) || hasBound(ended);
  return [
    ...(mayBe(OPEN_STATES) && !ofEnded ? ["task" as const] : []),
    ...(mayBe(END_STATES) && !(held && details.length === 1) ? ["task_finished" as const] : []),
  ];
}

/** The newest rows of a table that an index finds, up to the bound of a look. */
function look(
  filter: TaskFilter,
  table: TaskTable,
  ids: IdRange,
  parameters: Parameters,
  columns: string,
  offset = 0,
): string {
  const all = indexed(filter, table, ids, parameters);
  const most = lookOf(filter)[table];
  const where = all.length > 0 ? `where ${all.join(" and ")}` : "";
  const part = offset === 0 ? `limit ${most}` : `offset ${most - 1} limit 1`;
  return `select ${columns} from ${table} t ${where} order by t.id desc ${part}`;
}

/** Conditions on the rows `t` of a table that an index or a partition serves. */
function indexed(filter: TaskFilter, table: TaskTable, ids: IdRange, parameters: Parameters): string[] {
  const { tags, step, details, ended } = filter;
  const below = Math.min(filter.beforeId ?? Number.POSITIVE_INFINITY, ids.below);
  const all = [
    ...(below < Number.POSITIVE_INFINITY ? [`t.id < ${parameters.add(below, "bigint")}`] : []),
    ...(ids.from > 0 ? [`t.id >= ${parameters.add(ids.from, "bigint")}`] : []),
    ...(tags.length > 0 ? [hasTags(tags, parameters)] : []),
    ...(step ? [indexedBySteps(step, table)] : []),
    ...(table === "task" && details.includes(HELD_DETAIL) ? ["t.hold is not null"] : []),
  ];
  if (table === "task_finished") {
    const day = (ms: number) =>
      `to_timestamp(${parameters.add((Math.floor(ms / DAY_MS) * DAY_MS) / 1_000, "float8")})`;
    // Whole days leave partitions out.
    if (ended.fromMs !== undefined) all.push(`t.finish_time >= ${day(ended.fromMs)}`);
    if (ended.toMs !== undefined) all.push(`t.finish_time < ${day(ended.toMs + DAY_MS)}`);
    if (isOfFailures(filter)) all.push(FAILED);
    else if (filter.states.join() === "failed") all.push(`t.state = ${STATE.failed}`);
  }
  return all;
}

function lookOf(filter: TaskConditions): (typeof LOOK)["plain" | "json"] {
  return isOfFailures(filter) || filter.step !== undefined ? LOOK.json : LOOK.plain;
}

/** The condition of the index of ended tasks with a failure. */
const FAILED = `(t.state = ${STATE.failed} or t.failure is not null)`;

function isOfFailures({ failureCodes, errorText }: TaskConditions): boolean {
  return failureCodes.length > 0 || errorText !== undefined;
}

/** The conditions on the rows of a look. */
function outer(filter: TaskFilter, table: TaskTable, parameters: Parameters): string {
  const details = table === "task" ? [] : filter.details.filter((detail) => detail !== HELD_DETAIL);
  const states = filter.states.length > 0 ? filter.states : [...OPEN_STATES, ...END_STATES];
  const wanted: RowConditions = { ...filter, details, states };
  return conditions(wanted, table, parameters);
}
