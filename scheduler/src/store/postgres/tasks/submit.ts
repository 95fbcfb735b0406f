/** The statement that inserts tasks: the hot path of submits. */
import type { NewTask } from "../../../domain/tasks/task.ts";
import type { InsertedTask, TaskInsert } from "../../store.ts";
import { byteaArray, float8Array, int2Array, int4Array, int8Array, jsonParam, textArray } from "../arrays.ts";
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

/** Parameters before those of the given columns; see `params`. */
const PLACING = ["int", "smallint", "bigint", "float8", "float8", "float8"];
const PLACING_NAMES = "class_id, priority, session_id, delay_ms, run_at_ms, queue_wait_ms";
const TYPES = [...PLACING, ...GIVEN.map(({ type }) => type)];
const GIVEN_NAMES = GIVEN.map(({ name }) => name).join(", ");
const SESSION_IDS = "$3";
const SCHEDULER_ID = `$${TYPES.length + 1}`;

// No task is assigned to a session that has ended: it is inserted as queued.
const INPUT = `(
    select class_id, priority, case when session_id in (select session_id from living) then session_id end as session_id,
           delay_ms, run_at_ms, queue_wait_ms, ${GIVEN_NAMES}, ord
      from unnest(${TYPES.map((type, index) => `$${index + 1}::${type}[]`).join(", ")}) with ordinality
        as i(${PLACING_NAMES}, ${GIVEN_NAMES}, ord)
    offset 0)`;

// A delay of zero and a time in the past mean now.
const WAKE = `case when d.delay_ms > 0 then now() + d.delay_ms * interval '1 ms'
    when to_timestamp(d.run_at_ms / 1000) > now() then to_timestamp(d.run_at_ms / 1000) end`;
const DEADLINE = `coalesce(${WAKE}, now()) + d.queue_wait_ms * interval '1 ms'`;

const COLUMNS = `class_id, priority, state, attempt_count, epoch, session_id, assign_time, wake_time, start_deadline,
    ${GIVEN_NAMES}`;
const VALUES = `d.class_id, d.priority,
    case when d.session_id is null then ${STATE.queued} else ${STATE.assigned} end,
    case when d.session_id is null then 0 else 1 end,
    case when d.session_id is null then 0 else 1 end,
    d.session_id, case when d.session_id is null then null else now() end, ${WAKE}, ${DEADLINE},
    ${GIVEN.map(({ name, cast = "" }) => `d.${name}${cast}`).join(", ")}`;

const EVENTS = `event_created as (
    insert into event (name, task_ids) select 'created', array_agg(id) from ins having count(*) > 0),
  event_assigned as (
    insert into event (name, task_ids, epoch)
    select 'assigned', array_agg(id), 1 from ins where session_id is not null having count(*) > 0)`;

// Ids are numbered in the order of the input, so sorting the returned ids restores that order.
const INSERT = {
  name: "task-insert",
  text: `with ${livingSessions(SESSION_IDS, SCHEDULER_ID)},
  ins as (
    insert into task (${COLUMNS}) select ${VALUES} from ${INPUT} d order by d.ord returning id, session_id),
  ${EVENTS}
  select id, session_id is not null as assigned from ins order by id`,
};

// Keys are inserted in their own order, so that batches with the same keys cannot deadlock.
const INSERT_KEYED = {
  name: "task-insert-keyed",
  text: `with ${livingSessions(SESSION_IDS, SCHEDULER_ID)},
  d as materialized (
    select i.*, nextval(pg_get_serial_sequence('task', 'id')) as id
      from (select * from ${INPUT} d order by ord) i),
  kept as (
    insert into task_key (queue, key, task_id)
    select c.queue, d.unique_key, d.id from d join task_class c on c.id = d.class_id
     where d.unique_key is not null order by c.queue, d.unique_key, d.id
    on conflict (queue, key) do nothing
    returning task_id),
  ins as (
    insert into task (id, ${COLUMNS}) overriding system value
    select d.id, ${VALUES} from d left join kept on kept.task_id = d.id
     where d.unique_key is null or kept.task_id is not null
    returning id, session_id),
  ${EVENTS}
  select d.id, c.queue, d.unique_key, d.unique_key is not null and kept.task_id is null as duplicate,
         d.session_id is not null as assigned
    from d join task_class c on c.id = d.class_id left join kept on kept.task_id = d.id
   order by d.ord`,
};

const KEY_HOLDERS = {
  name: "task-key-holders",
  text: `select k.queue, k.key, k.task_id
    from unnest($1::text[], $2::text[]) as d(queue, key)
    join task_key k on k.queue = d.queue and k.key = d.key`,
};

/**
 * Inserts the tasks in one transaction, in order.
 *
 * @throws DatabaseUnavailableError with `outcomeUnknown` when the tasks may or may not have been inserted.
 */
export async function insertTasks(
  db: Database,
  tasks: readonly TaskInsert[],
  schedulerId: string | undefined,
): Promise<InsertedTask[]> {
  const values = [...params(tasks), schedulerId ?? null];
  if (tasks.every(({ task }) => task.uniqueKey === undefined)) {
    const rows = await db.hot<{ id: number; assigned: boolean }>(INSERT, values);
    return rows.map(({ id, assigned }) => ({ id, duplicate: false, assigned }));
  }
  return insertKeyed(db, values);
}

async function insertKeyed(db: Database, values: readonly unknown[]): Promise<InsertedTask[]> {
  interface Row {
    id: number;
    queue: string;
    unique_key: string | null;
    duplicate: boolean;
    assigned: boolean;
  }
  const rows = await db.coldOnce<Row>(INSERT_KEYED, values);
  const refused = rows.filter((row) => row.duplicate);
  if (refused.length === 0) return rows.map(({ id, assigned }) => ({ id, duplicate: false, assigned }));
  // A statement of its own: the holder may have been committed after the insert's snapshot.
  const holders = await db.cold<{ queue: string; key: string; task_id: number }>(KEY_HOLDERS, [
    refused.map((row) => row.queue),
    refused.map((row) => row.unique_key),
  ]);
  const byKey = new Map(holders.map((row) => [`${row.queue}\n${row.key}`, row.task_id]));
  return rows.map((row) => {
    if (!row.duplicate) return { id: row.id, duplicate: false, assigned: row.assigned };
    const id = byKey.get(`${row.queue}\n${row.unique_key}`);
    if (id === undefined)
      throw new Error(`the holder of unique key "${row.unique_key}" vanished during the submit`);
    return { id, duplicate: true, assigned: false };
  });
}

function params(tasks: readonly TaskInsert[]): unknown[] {
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
