/** The statement that inserts tasks: the hot path of submits. */
import { ClassesGoneError } from "../../../domain/errors.ts";
import { isPerKey } from "../../../domain/matching/match.ts";
import type { NewTask } from "../../../domain/tasks/task.ts";
import type { InsertedTask, TaskInsert } from "../../store.ts";
import { byteaArray, float8Array, int2Array, int4Array, int8Array, jsonParam, textArray } from "../arrays.ts";
import { keepClasses, usedClasses } from "../concurrency/idle-classes.ts";
import type { Database } from "../connection/database.ts";
import { livingSessions } from "../locks.ts";
import { STATE } from "../task-states.ts";
import { DEFAULT_CONTENT_TYPE } from "./task-columns.ts";

/** A column that is inserted as the producer gave it. `type` is that of the parameter, `cast` that of the column. */
interface GivenColumn {
  readonly name: string;
  readonly type: string;
  readonly cast?: string;
  readonly values: (tasks: readonly TaskInsert[]) => Buffer | null;
}

// A field that producers set is one line here.
const GIVEN: readonly GivenColumn[] = [
  { name: "unique_key", type: "text", values: texts((task) => task.uniqueKey) },
  {
    name: "content_type",
    type: "text",
    values: texts((task) => (task.contentType === DEFAULT_CONTENT_TYPE ? null : task.contentType)),
  },
  { name: "headers", type: "text", cast: "::jsonb", values: texts((task) => jsonParam(task.headers)) },
  { name: "options", type: "text", cast: "::jsonb", values: texts((task) => jsonParam(task.options)) },
  {
    name: "payload",
    type: "bytea",
    values: (tasks) => byteaArray(tasks.map(({ task }) => task.payload)),
  },
];

function texts(pick: (task: NewTask) => string | null | undefined): GivenColumn["values"] {
  return (tasks) => textArray(tasks.map(({ task }) => pick(task)));
}

/** Parameters before those of the given columns; see `insertParams`. */
const PLACING = ["int", "smallint", "bigint", "float8", "float8", "float8"];
export const PLACING_NAMES = "class_id, priority, session_id, delay_ms, run_at_ms, queue_wait_ms";
/** Types of the parameters of an insert, from `$1` on; the next one is the scheduler. */
export const INSERT_TYPES = [...PLACING, ...GIVEN.map(({ type }) => type)];
/** Columns that a submit gives. */
export const GIVEN_NAMES = GIVEN.map(({ name }) => name).join(", ");
export const SESSION_IDS = "$3";
export const SCHEDULER_ID = `$${INSERT_TYPES.length + 1}`;

/** The tasks of an insert, in order. A task is not assigned to a session that has ended: it is inserted as queued. */
export const INPUT = `(
    select class_id, priority, case when session_id in (select session_id from living) then session_id end as session_id,
           delay_ms, run_at_ms, queue_wait_ms, ${GIVEN_NAMES}, ord
      from unnest(${INSERT_TYPES.map((type, index) => `$${index + 1}::${type}[]`).join(", ")}) with ordinality
        as i(${PLACING_NAMES}, ${GIVEN_NAMES}, ord)
    offset 0)`;

/** Times of a task `d` that waits. A delay of zero and a time in the past mean now. */
export const WAKE = `case when d.delay_ms > 0 then now() + d.delay_ms * interval '1 ms'
    when to_timestamp(d.run_at_ms / 1000) > now() then to_timestamp(d.run_at_ms / 1000) end`;
export const DEADLINE = `coalesce(${WAKE}, now()) + d.queue_wait_ms * interval '1 ms'`;

/** The given columns, each with its value for a task `d`. */
export const GIVEN_VALUES = GIVEN.map(({ name, cast = "" }) => ({ name, value: `d.${name}${cast}` }));

/** Columns of a new task, and their values for a task `d`. */
export const COLUMNS = `class_id, priority, state, attempt_count, epoch, session_id, assign_time, wake_time, start_deadline,
    ${GIVEN_NAMES}`;
export const VALUES = `d.class_id, d.priority,
    case when d.session_id is null then ${STATE.queued} else ${STATE.assigned} end,
    case when d.session_id is null then 0 else 1 end,
    case when d.session_id is null then 0 else 1 end,
    d.session_id, case when d.session_id is null then null else now() end, ${WAKE}, ${DEADLINE},
    ${GIVEN_VALUES.map(({ value }) => value).join(", ")}`;

/** Events of the tasks `ins`. */
export const EVENTS = `event_created as (
    insert into event (name, task_ids) select 'created', array_agg(id) from ins having count(*) > 0),
  event_assigned as (
    insert into event (name, task_ids, epoch)
    select 'assigned', array_agg(id), 1 from ins where session_id is not null having count(*) > 0)`;

// Ids are numbered in the order of the input, so sorting the returned ids restores that order.
const insertText = (
  used = "",
  where = "",
): string => `with ${livingSessions(SESSION_IDS, SCHEDULER_ID)},${used}
  ins as (
    insert into task (${COLUMNS}) select ${VALUES} from ${INPUT} d ${where} order by d.ord returning id, session_id),
  ${EVENTS}
  select id, session_id is not null as assigned from ins order by id`;

const INSERT = { name: "task-insert", text: insertText() };

// Of classes that may be deleted: all or none.
const CLASS_IDS = `$${INSERT_TYPES.length + 2}::int[]`;
const INSERT_PER_KEY = {
  name: "task-insert-per-key",
  text: insertText(
    `
  ${usedClasses(CLASS_IDS)},`,
    `where (select count(*) from used) = cardinality(${CLASS_IDS})`,
  ),
};

/**
 * Inserts tasks without unique keys in one transaction, in order.
 *
 * @throws ClassesGoneError when classes have to be resolved again; nothing was inserted.
 * @throws DatabaseUnavailableError with `outcomeUnknown` when the tasks may or may not have been inserted.
 */
export async function insertTasks(
  db: Database,
  tasks: readonly TaskInsert[],
  schedulerId: string | undefined,
): Promise<InsertedTask[]> {
  const params = [...insertParams(tasks), schedulerId ?? null];
  const classIds = perKeyClassIds(tasks);
  const rows =
    classIds.length > 0
      ? await db.hot<{ id: number; assigned: boolean }>(INSERT_PER_KEY, [...params, int4Array(classIds)])
      : await db.hot<{ id: number; assigned: boolean }>(INSERT, params);
  if (rows.length < tasks.length) {
    await keepClasses((statement, values) => db.cold(statement, values), classIds);
    // They were locked at that moment, and are in use again.
    throw new ClassesGoneError(classIds);
  }
  return rows.map(({ id, assigned }) => ({ id, duplicate: false, assigned }));
}

/** The classes of tasks that may be deleted when no task is in them. */
export function perKeyClassIds(tasks: readonly TaskInsert[]): number[] {
  const ids = new Set<number>();
  for (const { task, classId } of tasks) if (isPerKey(task)) ids.add(classId);
  return [...ids];
}

/** The parameters of `INSERT_TYPES` for these tasks. */
export function insertParams(tasks: readonly TaskInsert[]): unknown[] {
  const column = <T>(pick: (task: NewTask) => T) => tasks.map(({ task }) => pick(task));
  return [
    int4Array(tasks.map(({ classId }) => classId)),
    int2Array(column((task) => task.priority)),
    int8Array(tasks.map(({ assignTo }) => assignTo)),
    float8Array(column((task) => task.delayMs)),
    float8Array(column((task) => task.runAtMs)),
    float8Array(column((task) => task.options?.timeouts?.queueWaitMs)),
    ...GIVEN.map(({ values }) => values(tasks)),
  ];
}
