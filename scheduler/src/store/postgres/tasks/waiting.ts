/** Reads the tasks that wait in classes in claim order, and moves those whose wake time or deadline has passed. */
import { rampBelow, SPREAD } from "../../../domain/builds/build-rule.ts";
import type { Floor, WaitingTask } from "../../store.ts";
import { int2Array, int4Array, int8Array } from "../arrays.ts";
import type { Database, Statement } from "../connection/database.ts";
import { STATE } from "../task-states.ts";
import { KEPT_BY_QUEUED_END } from "./task-columns.ts";

/** For how long a ready task has been ready, milliseconds. `extract` would compute a numeric. */
const AGE = "(date_part('epoch', now() - coalesce(ready_time, create_time)) * 1000)::bigint";

const READY = `state = ${STATE.queued} and wake_time is null`;

// In order from the floor of each class. Entries of ended tasks stay in the index until it is vacuumed, a
// million of them a minute under load, so that reading from its front each time costs more than the claims.
// The conditions of the two parts are bounds of the index; one condition on both columns would not be.
const WAITING: Statement = {
  name: "task-waiting",
  text: `select c.class_id, w.ids, w.priorities, w.ages
    from unnest($1::int[], $2::smallint[], $3::bigint[]) as c(class_id, priority, id)
    cross join lateral (
      select array_agg(t.id) as ids, array_agg(t.priority) as priorities, array_agg(t.age) as ages from (
        (select id, priority, ${AGE} as age from task
          where class_id = c.class_id and priority = c.priority and id >= c.id and ${READY}
          order by id limit $4)
        union all
        (select id, priority, ${AGE} from task
          where class_id = c.class_id and priority < c.priority and ${READY}
          order by priority desc, id limit $4)
        limit $4) t) w
   where w.ids is not null`,
};

/** Before every task: the highest priority that a smallint takes. */
const FRONT: Floor = { priority: 32_767, id: 0 };

/** Priorities of a class of which aged tasks are read at once: those whose first task goes before the others. */
const MAX_LEVELS = 20;

// A loose index scan from one priority to the next lower one: mostly there is none, which costs a look into the index.
const AGED: Statement = {
  name: "task-aged",
  text: `with recursive levels as (
    select a.class_id, a.priority, a.age, a.priority as top, a.age as top_age
      from unnest($1::int[], $2::smallint[], $3::bigint[]) as a(class_id, priority, age)
    union all
    select v.class_id, l.priority, l.age, v.top, v.top_age
      from levels v cross join lateral (
        select priority, ${AGE} as age from task
         where class_id = v.class_id and priority < v.priority and ${READY}
         order by priority desc, id limit 1) l),
  due as (
    select *, row_number() over (partition by class_id order by age + priority * $4::float8 desc) as place
      from levels where priority < top and age - (top - priority) * $4::float8 > top_age)
  select v.class_id, v.priority, w.ids, w.ages
    from due v cross join lateral (
      select array_agg(t.id) as ids, array_agg(t.age) as ages from (
        select id, ${AGE} as age from task
         where class_id = v.class_id and priority = v.priority and ${READY}
         order by id limit $5) t
       where t.age - (v.top - v.priority) * $4::float8 > v.top_age) w
   where v.place <= ${MAX_LEVELS} and w.ids is not null`,
};

// As `isOfRamp` decides. The order makes the planner use the index.
const OF_RAMP: Statement = {
  name: "task-waiting-of-ramp",
  text: `select id, priority, ${AGE} as age from task
    where class_id = $1 and ${READY} and (((id % 2147483648) * ${SPREAD}) % 2147483648 < $2::bigint) = $3
    order by priority desc, id limit $4`,
};

// The order makes the planner use the index whatever the statistics are, and the limit bounds the count.
const COUNT_WAITING: Statement = {
  name: "task-count-waiting",
  text: `select c.class_id, n.count
    from unnest($1::int[]) as c(class_id)
    cross join lateral (
      select count(*)::int as count from (
        select id from task
         where class_id = c.class_id and state = ${STATE.queued} and wake_time is null
         order by priority desc, id
         limit $2) t) n
   where n.count > 0`,
};

const WAKE: Statement = {
  name: "task-wake",
  text: `with due as (
    select id from task where wake_time <= now() order by wake_time limit $1 for update skip locked)
  update task t set wake_time = null, ready_time = t.wake_time from due where t.id = due.id
  returning t.id, t.class_id, t.priority`,
};

const OVERDUE: Statement = {
  name: "task-overdue",
  text: `with due as (
    select id from task where start_deadline < now() and state = ${STATE.queued} and epoch = 0
     order by start_deadline limit $1 for update skip locked),
  gone as (delete from task t using due where t.id = due.id returning t.*),
  fin as (
    insert into task_finished (${KEPT_BY_QUEUED_END}, state, detail, failure)
    select ${KEPT_BY_QUEUED_END}, ${STATE.failed}, 'DEADLINE_BEFORE_START',
      jsonb_build_object('class', 'timed_out', 'code', 'DEADLINE_BEFORE_START', 'message',
        'the task waited longer in the queue than its queue_wait timeout allows') from gone),
  ev as (insert into event (name, task_id, epoch, attributes)
    select 'failed', id, epoch, '{"code": "DEADLINE_BEFORE_START"}' from gone)
  select id, class_id from gone`,
};

interface WaitingColumns {
  id: number;
  class_id: number;
  priority: number;
}

interface WindowColumns {
  class_id: number;
  ids: readonly number[];
  priorities: readonly number[];
  ages: readonly number[];
}

/**
 * The first claimable tasks of each class, in the order in which they are to be assigned.
 *
 * @param floors Where to begin, for the class at the same place; at the front by default.
 */
export async function waitingTasks(
  db: Database,
  classIds: readonly number[],
  limitPerClass: number,
  floors: readonly (Floor | undefined)[] = [],
): Promise<WaitingTask[]> {
  const from = classIds.map((_, index) => floors[index] ?? FRONT);
  const rows = await db.hotRetrying<WindowColumns>(WAITING, [
    int4Array(classIds),
    int2Array(from.map(({ priority }) => priority)),
    int8Array(from.map(({ id }) => id)),
    limitPerClass,
  ]);
  return rows.flatMap(({ class_id: classId, ids, priorities, ages }) =>
    ids.map((id, index) => ({ id, classId, priority: priorities[index] ?? 0, ageMs: ages[index] ?? 0 })),
  );
}

/** Tasks of lower priorities that have waited so long that they go before these, the first ones of their classes. */
export async function agedTasks(
  db: Database,
  tops: readonly WaitingTask[],
  ageingMs: number,
  limitPerLevel: number,
): Promise<WaitingTask[]> {
  interface Row {
    class_id: number;
    priority: number;
    ids: readonly number[];
    ages: readonly number[];
  }
  const rows = await db.cold<Row>(AGED, [
    int4Array(tops.map(({ classId }) => classId)),
    int2Array(tops.map(({ priority }) => priority)),
    int8Array(tops.map(({ ageMs }) => Math.round(ageMs ?? 0))),
    ageingMs,
    limitPerLevel,
  ]);
  return rows.flatMap(({ class_id: classId, priority, ids, ages }) =>
    ids.map((id, index) => ({ id, classId, priority, ageMs: ages[index] ?? 0 })),
  );
}

/** The first tasks of the class on one side of a ramp. */
export async function waitingOfRamp(
  db: Database,
  classId: number,
  share: number,
  ofRamp: boolean,
  limit: number,
): Promise<WaitingTask[]> {
  const rows = await db.cold<{ id: number; priority: number; age: number }>(OF_RAMP, [
    classId,
    rampBelow(share),
    ofRamp,
    limit,
  ]);
  return rows.map(({ id, priority, age }) => ({ id, classId, priority, ageMs: age }));
}

/** How many tasks of each class could start now, at most `limitPerClass` each. */
export async function countWaiting(
  db: Database,
  classIds: readonly number[],
  limitPerClass: number,
): Promise<ReadonlyMap<number, number>> {
  const rows = await db.cold<{ class_id: number; count: number }>(COUNT_WAITING, [
    int4Array(classIds),
    limitPerClass,
  ]);
  return new Map(rows.map((row) => [row.class_id, row.count]));
}

/** Makes due tasks claimable. */
export async function wakeDue(db: Database, limit: number): Promise<WaitingTask[]> {
  return (await db.cold<WaitingColumns>(WAKE, [limit])).map(toWaiting);
}

/** Fails tasks that did not start by their deadline; returns them. */
export async function failOverdue(db: Database, limit: number): Promise<{ id: number; classId: number }[]> {
  const rows = await db.cold<{ id: number; class_id: number }>(OVERDUE, [limit]);
  return rows.map((row) => ({ id: row.id, classId: row.class_id }));
}

function toWaiting(row: WaitingColumns): WaitingTask {
  return { id: row.id, classId: row.class_id, priority: row.priority };
}
