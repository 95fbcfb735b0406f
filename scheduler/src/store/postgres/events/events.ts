/** Appends events, and reads them of a task, of a worker, and as a feed. */
import type { EventRecord, NewEvent } from "../../store.ts";
import { jsonParam } from "../arrays.ts";
import type { Database, Statement } from "../connection/database.ts";

const APPEND: Statement = {
  name: "event-append",
  text: `insert into event (name, task_id, epoch, session_id, worker_id, sequence, attributes, time)
    select d.name, d.task_id, d.epoch, d.session_id, d.worker_id, d.sequence, d.attributes::jsonb,
           now() - d.age_ms * interval '1 ms'
      from unnest($1::text[], $2::bigint[], $3::int[], $4::bigint[], $5::text[], $6::bigint[], $7::text[], $8::float8[])
        with ordinality as d(name, task_id, epoch, session_id, worker_id, sequence, attributes, age_ms, ord)
     order by d.ord`,
};

const OF_TASK: Statement = {
  name: "event-of-task",
  text: `select id, time, name, task_id, epoch, worker_id, attributes
    from event where task_id = $1 order by id limit $2`,
};

const LATEST_OF_TASK: Statement = {
  name: "event-latest-of-task",
  text: `select id, time, name, task_id, epoch, worker_id, attributes
    from event where task_id = $1 order by id desc limit $2`,
};

const COST_RAISES: Statement = {
  name: "event-cost-raises",
  text: `select id, time, name, task_id, epoch, worker_id, attributes
    from event where task_id = $1 and attributes ? 'cost_raised' order by id desc limit $2`,
};

const OF_WORKER: Statement = {
  name: "event-of-worker",
  text: `select id, time, name, task_id, epoch, worker_id, attributes
    from event where worker_id = $1 and id > $2 order by id limit $3`,
};

const LAST_OF_WORKER: Statement = {
  name: "event-last-of-worker",
  text: `select id, time, name, task_id, epoch, worker_id, attributes
    from event where worker_id = $1 and session_id = $2 and name = any($3) order by id desc limit 1`,
};

/** Columns `task_ids, epoch, epochs` of a batch's event: the epoch by itself where it is the same for all. */
export const BATCH_COLUMNS = `array_agg(id), case when min(epoch) = max(epoch) then min(epoch) end,
    case when min(epoch) <> max(epoch) then array_agg(epoch) end`;

// Expands rows that name many tasks. The limit counts rows of the table, each of which is one batch, so a page may hold
// more events than requested; none is lost between pages.
const EXPANDED = `select e.id, e.time, e.name, coalesce(d.task_id, e.task_id) as task_id,
    coalesce(d.epoch, e.epoch) as epoch, e.worker_id, e.attributes
    from e left join lateral unnest(e.task_ids, e.epochs) with ordinality as d(task_id, epoch, ord) on true`;

/** The most events in one answer, unless a single row has more. */
const MAX_EXPANDED = 10_000;

const WITHIN = (rows: string, order: string) => `e as (
    select * from (
      select *, sum(greatest(1, coalesce(cardinality(task_ids), 1))) over (order by ${order}) as expanded,
             row_number() over (order by ${order}) as place
        from (${rows} order by ${order} limit LIMIT) r) r
     where place = 1 or expanded <= ${MAX_EXPANDED})`;

const RECENT: Statement = {
  name: "event-recent",
  text: `with ${WITHIN("select * from event where $1::bigint is null or id < $1", "id desc").replace("LIMIT", "$2")}
  ${EXPANDED} order by e.id desc, d.ord desc`,
};

const AFTER: Statement = {
  name: "event-after",
  text: `with ${WITHIN("select * from event where id > $1 and id <= $2", "id").replace("LIMIT", "$3")}
  ${EXPANDED} order by e.id, d.ord`,
};

// Ids are drawn before they are committed, so a transaction under way may hold ids below the newest visible one; a
// reader that went past them would never read them. Every writer locks the table before it draws its first event id, and
// until its end, so `writers` has all of them, whatever their role; transactions that write other tables are not in it.
const WRITERS = `array(select distinct virtualtransaction from pg_locks
    where locktype = 'relation' and relation = 'event'::regclass and mode = 'RowExclusiveLock' and granted
      and database = (select oid from pg_database where datname = current_database())
      and pid is distinct from pg_backend_pid())`;
const FRONTIER: Statement = {
  name: "event-frontier",
  text: `select (select coalesce(max(id), 0) from event) as id, ${WRITERS} as writers`,
};
const STILL_WRITING: Statement = { name: "event-still-writing", text: `select ${WRITERS} as writers` };

/** Wait between two reads of the writers under way: about the length of a batch. */
const WRITER_WAIT_MS = 5;

/** Longest wait for them: statements time out after 15 s. */
const WRITER_LIMIT_MS = 20_000;

const LAST: Statement = { name: "event-last", text: "select coalesce(max(id), 0) as id from event" };

interface EventColumns {
  id: number;
  time: Date;
  name: string;
  task_id: number | null;
  epoch: number | null;
  worker_id: string | null;
  attributes: Record<string, string> | null;
}

/** Appends events in order. */
export async function appendEvents(db: Database, events: readonly NewEvent[]): Promise<void> {
  await db.hot(APPEND, [
    events.map(({ name }) => name),
    events.map(({ taskId }) => taskId ?? null),
    events.map(({ epoch }) => epoch ?? null),
    events.map(({ sessionId }) => sessionId ?? null),
    events.map(({ workerId }) => workerId ?? null),
    events.map(({ sequence }) => sequence ?? null),
    events.map(({ attributes }) => jsonParam(attributes)),
    events.map(({ ageMs }) => ageMs ?? 0),
  ]);
}

/** Events of one task that its own row does not record, oldest first. */
export async function taskEvents(db: Database, taskId: number, limit: number): Promise<EventRecord[]> {
  return (await db.cold<EventColumns>(OF_TASK, [taskId, limit])).map(toEvent);
}

/** The latest events recorded of one task, oldest first. */
export async function latestTaskEvents(db: Database, taskId: number, limit: number): Promise<EventRecord[]> {
  return (await db.cold<EventColumns>(LATEST_OF_TASK, [taskId, limit])).map(toEvent).reverse();
}

/** The latest requeues of one task that raised its cost, oldest first. */
export async function costRaises(db: Database, taskId: number, limit: number): Promise<EventRecord[]> {
  return (await db.cold<EventColumns>(COST_RAISES, [taskId, limit])).map(toEvent).reverse();
}

/** Events of a worker, oldest first. */
export async function workerEvents(
  db: Database,
  workerId: string,
  afterId: number,
  limit: number,
): Promise<EventRecord[]> {
  return (await db.cold<EventColumns>(OF_WORKER, [workerId, afterId, limit])).map(toEvent);
}

/** The newest event of a session with one of these names. */
export async function lastWorkerEvent(
  db: Database,
  workerId: string,
  sessionId: number,
  names: readonly string[],
): Promise<EventRecord | undefined> {
  const [row] = await db.cold<EventColumns>(LAST_OF_WORKER, [workerId, sessionId, names]);
  return row && toEvent(row);
}

/** The feed, newest first. */
export async function recentEvents(
  db: Database,
  beforeId: number | undefined,
  limit: number,
): Promise<EventRecord[]> {
  return (await db.cold<EventColumns>(RECENT, [beforeId ?? null, limit])).map(toEvent);
}

/**
 * The feed after a position, oldest first. Waits for the writers whose events may belong before the newest
 * one, so that a reader that continues from the last event misses none.
 */
export async function eventsAfter(db: Database, afterId: number, limit: number): Promise<EventRecord[]> {
  const [frontier] = await db.cold<{ id: number; writers: string[] }>(FRONTIER, []);
  if (!frontier || frontier.id <= afterId) return [];
  let writers = frontier.writers;
  for (let waited = 0; writers.length > 0 && waited < WRITER_LIMIT_MS; waited += WRITER_WAIT_MS) {
    const [now] = await db.cold<{ writers: string[] }>(STILL_WRITING, []);
    writers = writers.filter((writer) => now?.writers.includes(writer));
    if (writers.length > 0) await db.sleep(WRITER_WAIT_MS);
  }
  return (await db.cold<EventColumns>(AFTER, [afterId, frontier.id, limit])).map(toEvent);
}

/** Position of the newest event. */
export async function lastEventId(db: Database): Promise<number> {
  return (await db.cold<{ id: number }>(LAST, []))[0]?.id ?? 0;
}

function toEvent(row: EventColumns): EventRecord {
  return {
    id: row.id,
    time: row.time,
    name: row.name,
    taskId: row.task_id ?? undefined,
    epoch: row.epoch ?? undefined,
    workerId: row.worker_id ?? undefined,
    attributes: row.attributes ?? {},
  };
}
