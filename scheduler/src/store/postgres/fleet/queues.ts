/** Reads queues with their depths, and writes their pauses, limits, weights and settings. */
import { Slices } from "../../../slices.ts";
import type {
  ClassDepth,
  LimitedQueue,
  QueueChange,
  QueueDepth,
  QueueRow,
  QueueSettings,
  TypeDepth,
} from "../../store.ts";
import { jsonParam } from "../arrays.ts";
import type { Database, Statement } from "../connection/database.ts";
import { ACTIVE, STATE } from "../task-states.ts";

const COLUMNS = `name, pause_time, pause_reason, max_waiting, limit_reason, limit_time, weight, weight_reason, weight_time,
  settings, settings_reason, settings_time`;

const QUEUES: Statement = {
  name: "queue-list",
  text: `select ${COLUMNS} from queue order by name`,
};

const GET: Statement = {
  name: "queue-get",
  text: `select ${COLUMNS} from queue where name = $1`,
};

const PAUSED: Statement = {
  name: "queue-paused",
  text: "select name from queue where pause_time is not null",
};

const SET_PAUSED: Statement = {
  name: "queue-set-paused",
  text: `with q as (
    insert into queue (name, pause_time, pause_reason) values ($1, case when $2::text is null then null else now() end, $2)
    on conflict (name) do update
       set pause_time = case when $2::text is null then null else coalesce(queue.pause_time, now()) end, pause_reason = $2
    returning ${COLUMNS}),
  e as (
    insert into event (name, attributes)
    select case when $2::text is null then 'queue.resumed' else 'queue.paused' end,
           jsonb_strip_nulls(jsonb_build_object('queue', $1::text, 'reason', $2::text))
      from q),
  n as (select pg_notify('muster', '{"kind":"queue"}'))
  select q.* from q, n`,
};

const COUNTS = `count(*) filter (where state = ${STATE.queued} and wake_time is null) as ready,
         count(*) filter (where state = ${STATE.queued} and wake_time is not null) as scheduled,
         count(*) filter (where state in ${ACTIVE}) as active,
         count(*) filter (where state = ${STATE.running}) as running,
         extract(epoch from now() - min(coalesce(ready_time, create_time)) filter (where state = ${STATE.queued} and wake_time is null))::float8 * 1000
           as oldest_ms,
         extract(epoch from now() - min(coalesce(ready_time, create_time))
           filter (where state = ${STATE.queued} and wake_time is null and attempt_count = 0 and oom_count = 0))::float8 * 1000
           as oldest_first_ms`;

const DEPTHS: Statement = {
  name: "queue-depths",
  text: `select class_id, ${COUNTS} from task group by class_id`,
};

// Counted and limited in SQL: with 60,000 types in one queue, a row for each took the scheduler longer than PostgreSQL.
const DESCRIBE: Statement = {
  name: "queue-describe",
  text: `with q as (
    select ${COLUMNS} from queue
     where ($1::text is null or name = $1) and ($2::text is null or name > $2) order by name limit $3),
  c as (select c.id, c.queue, c.type from task_class c join q on q.name = c.queue),
  d as (select class_id, ${COUNTS} from task where class_id in (select id from c) group by class_id),
  t as (
    select c.queue, c.type, coalesce(sum(d.ready), 0) as ready, coalesce(sum(d.scheduled), 0) as scheduled,
           coalesce(sum(d.active), 0) as active, max(d.oldest_ms) as oldest_ms, max(d.oldest_first_ms) as oldest_first_ms
      from c left join d on d.class_id = c.id group by c.queue, c.type),
  ranked as (
    select t.*, row_number() over (partition by queue order by ready desc, active desc, scheduled desc, type) as place
      from t),
  s as (
    select queue, sum(ready)::bigint as ready, sum(scheduled)::bigint as scheduled, sum(active)::bigint as active,
           max(oldest_ms) as oldest_ms, max(oldest_first_ms) as oldest_first_ms, count(*) as type_count,
           json_agg(json_build_object('type', type, 'ready', ready, 'scheduled', scheduled, 'active', active)
             order by place) filter (where place <= $4) as types
      from ranked group by queue)
  select q.*, s.* from q left join s on s.queue = q.name order by q.name`,
};

// Counted by classes, whose tasks the index has in order, and only as far as the limit.
const LIMITED: Statement = {
  name: "queue-limited",
  text: `select q.name, q.max_waiting, q.limit_reason, q.limit_time,
    (select count(*) from (
       select from task_class c join task t on t.class_id = c.id
        where c.queue = q.name and t.state = ${STATE.queued} limit q.max_waiting + 1) w) as waiting
    from queue q where q.max_waiting is not null`,
};

const SET_LIMIT: Statement = {
  name: "queue-set-limit",
  text: `with q as (
    insert into queue (name, max_waiting, limit_reason, limit_time)
    values ($1, $2::bigint, case when $2::bigint is null then null else $3::text end, case when $2::bigint is null then null else now() end)
    on conflict (name) do update
       set max_waiting = excluded.max_waiting, limit_reason = excluded.limit_reason, limit_time = excluded.limit_time
    returning name),
  e as (
    insert into event (name, attributes)
    select case when $2::bigint is null then 'queue.unlimited' else 'queue.limited' end,
           jsonb_strip_nulls(jsonb_build_object('queue', $1::text, 'max_waiting', $2::bigint::text, 'reason', $3::text))
      from q),
  n as (select pg_notify('muster', '{"kind":"queue"}'))
  select q.* from q, n`,
};

const WEIGHTS: Statement = {
  name: "queue-weights",
  text: "select name, weight from queue where weight <> 1",
};

const SET_WEIGHT: Statement = {
  name: "queue-set-weight",
  text: `with q as (
    insert into queue (name, weight, weight_reason, weight_time) values ($1, $2::int, $3, now())
    on conflict (name) do update
       set weight = excluded.weight, weight_reason = excluded.weight_reason, weight_time = excluded.weight_time
    returning name),
  e as (
    insert into event (name, attributes)
    select 'queue.weighted', jsonb_build_object('queue', $1::text, 'weight', $2::int::text, 'reason', $3::text) from q),
  n as (select pg_notify('muster', '{"kind":"queue"}'))
  select q.* from q, n`,
};

const SETTINGS: Statement = {
  name: "queue-settings",
  text: "select name, settings from queue where settings is not null",
};

// Merged in the row: two operators who change different settings at the same time lose neither.
const CONFIGURE: Statement = {
  name: "queue-configure",
  text: `with q as (
    insert into queue as q (name, settings, settings_reason, settings_time)
    select $1, s.value, case when s.value is not null then $4::text end, case when s.value is not null then now() end
      from (select nullif($2::jsonb - $3::text[], '{}') as value) s
    on conflict (name) do update
       set settings = nullif((coalesce(q.settings, '{}') || $2::jsonb) - $3::text[], '{}'),
           settings_reason = case when (coalesce(q.settings, '{}') || $2::jsonb) - $3::text[] <> '{}' then $4::text end,
           settings_time = case when (coalesce(q.settings, '{}') || $2::jsonb) - $3::text[] <> '{}' then now() end
    returning name),
  e as (
    insert into event (name, attributes)
    select 'queue.configured', $5::jsonb || jsonb_build_object('queue', $1::text, 'reason', $4::text) from q),
  n as (select pg_notify('muster', '{"kind":"queue"}'))
  select q.* from q, n`,
};

interface QueueColumns {
  name: string;
  pause_time: Date | null;
  pause_reason: string | null;
  max_waiting: number | null;
  limit_reason: string | null;
  limit_time: Date | null;
  weight: number;
  weight_reason: string | null;
  weight_time: Date | null;
  settings: QueueSettings | null;
  settings_reason: string | null;
  settings_time: Date | null;
}

interface DepthColumns extends QueueColumns {
  ready: number | null;
  scheduled: number | null;
  active: number | null;
  oldest_ms: number | null;
  oldest_first_ms: number | null;
  type_count: number | null;
  types: TypeDepth[] | null;
}

/** Every queue by name. */
export async function listQueues(db: Database): Promise<QueueRow[]> {
  return (await db.cold<QueueColumns>(QUEUES, [])).map(toQueue);
}

/** One queue; undefined when there is none of that name. */
export async function getQueue(db: Database, name: string): Promise<QueueRow | undefined> {
  const [row] = await db.cold<QueueColumns>(GET, [name]);
  return row && toQueue(row);
}

/** Names of the queues that are paused. */
export async function pausedQueues(db: Database): Promise<string[]> {
  return (await db.cold<{ name: string }>(PAUSED, [])).map(({ name }) => name);
}

/** Queues by name with their depths. Reads their open tasks: for interactive use, not for services. */
export async function queueDepths(
  db: Database,
  filter: { name?: string; afterName?: string | undefined; limit: number; maxTypes: number },
): Promise<QueueDepth[]> {
  const rows = await db.cold<DepthColumns>(DESCRIBE, [
    filter.name ?? null,
    filter.afterName ?? null,
    filter.limit,
    filter.maxTypes,
  ]);
  return rows.map((row) => ({
    ...toQueue(row),
    ready: row.ready ?? 0,
    scheduled: row.scheduled ?? 0,
    active: row.active ?? 0,
    oldestReadyAgeMs: row.oldest_ms ?? undefined,
    oldestFirstAgeMs: row.oldest_first_ms ?? undefined,
    typeCount: row.type_count ?? 0,
    types: row.types ?? [],
  }));
}

/** Queues that have a limit, with what waits in them. */
export async function limitedQueues(db: Database): Promise<LimitedQueue[]> {
  interface Row {
    name: string;
    max_waiting: number;
    limit_reason: string;
    limit_time: Date;
    waiting: number;
  }
  return (await db.cold<Row>(LIMITED, [])).map((row) => ({
    name: row.name,
    max: row.max_waiting,
    reason: row.limit_reason,
    since: row.limit_time,
    waiting: row.waiting,
  }));
}

/** Limits a queue, or ends its limit; creates a missing one. */
export async function setQueueLimit(
  db: Database,
  name: string,
  max: number | undefined,
  reason: string,
): Promise<void> {
  await db.cold(SET_LIMIT, [name, max ?? null, reason]);
}

/** Weights of the queues that have another one than 1. */
export async function queueWeights(db: Database): Promise<ReadonlyMap<string, number>> {
  const rows = await db.cold<{ name: string; weight: number }>(WEIGHTS, []);
  return new Map(rows.map(({ name, weight }) => [name, weight]));
}

/** Sets the weight of a queue; creates a missing one. */
export async function setQueueWeight(
  db: Database,
  name: string,
  weight: number,
  reason: string,
): Promise<void> {
  await db.cold(SET_WEIGHT, [name, weight, reason]);
}

/** Settings of the queues that have any. */
export async function queueSettings(db: Database): Promise<ReadonlyMap<string, QueueSettings>> {
  const rows = await db.cold<{ name: string; settings: QueueSettings }>(SETTINGS, []);
  return new Map(rows.map(({ name, settings }) => [name, settings]));
}

/** Sets and clears settings of a queue; creates a missing one. */
export async function configureQueue(
  db: Database,
  name: string,
  { set, clear, reason, attributes }: QueueChange,
): Promise<void> {
  await db.cold(CONFIGURE, [name, jsonParam(set), clear, reason, jsonParam(attributes)]);
}

/** Pauses a queue, or resumes it when there is no reason; creates a missing one. */
export async function setQueuePaused(
  db: Database,
  name: string,
  reason: string | undefined,
): Promise<QueueRow> {
  const [row] = await db.cold<QueueColumns>(SET_PAUSED, [name, reason ?? null]);
  if (!row) throw new Error(`queue ${name} was not written`);
  return toQueue(row);
}

/** Depths by class. Reads the whole open table: for interactive use and the monitor, not for faster services. */
export async function depths(db: Database): Promise<ClassDepth[]> {
  interface Row {
    class_id: number;
    ready: number;
    scheduled: number;
    active: number;
    running: number;
    oldest_ms: number | null;
    oldest_first_ms: number | null;
  }
  const rows = await db.cold<Row>(DEPTHS, []);
  const found: ClassDepth[] = [];
  const slices = new Slices();
  await slices.next();
  for (const row of rows) {
    found.push({
      classId: row.class_id,
      ready: row.ready,
      scheduled: row.scheduled,
      active: row.active,
      running: row.running,
      oldestReadyAgeMs: row.oldest_ms ?? undefined,
      oldestFirstAgeMs: row.oldest_first_ms ?? undefined,
    });
    if (slices.isOver) await slices.next();
  }
  return found;
}

function toQueue(row: QueueColumns): QueueRow {
  return {
    name: row.name,
    pauseTime: row.pause_time ?? undefined,
    pauseReason: row.pause_reason ?? undefined,
    limit:
      row.max_waiting !== null && row.limit_reason !== null && row.limit_time
        ? { max: row.max_waiting, reason: row.limit_reason, since: row.limit_time }
        : undefined,
    weight: row.weight,
    weightSet:
      row.weight_reason !== null && row.weight_time
        ? { reason: row.weight_reason, since: row.weight_time }
        : undefined,
    settings: row.settings ?? undefined,
    settingsSet:
      row.settings_reason !== null && row.settings_time
        ? { reason: row.settings_reason, since: row.settings_time }
        : undefined,
  };
}
