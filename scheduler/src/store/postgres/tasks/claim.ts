import type { AttemptKey } from "../../../domain/ids.ts";
import type { AttemptTouch, ClaimedAttempt, Floor, WaitingTask } from "../../store.ts";
import { float8Array, int2Array, int4Array, int8Array, textArray } from "../arrays.ts";
import type { Database } from "../connection/database.ts";
import { BATCH_COLUMNS } from "../events/events.ts";
import { inLockOrder, livingSessions } from "../locks.ts";
import {
  ATTEMPT_COLUMNS,
  CLAIM_COLUMNS,
  type ClaimColumns,
  happenedAt,
  jsonParam,
  toClaimedAttempt,
} from "../rows.ts";
import { type ClaimedColumns, claimedAttempts, SELECT_CLAIMED } from "./claimed-columns.ts";

// In order from the floor of each class. Entries of ended tasks stay in the index until vacuum comes by, a
// million of them a minute under load, so that reading from its front each time costs more than the claims.
// The two parts are bounds of the index; one condition on both columns would not be.
const WAITING = {
  name: "task-waiting",
  text: `select c.class_id, w.ids, w.priorities
    from unnest($1::int[], $2::smallint[], $3::bigint[]) as c(class_id, priority, id)
    cross join lateral (
      select array_agg(t.id) as ids, array_agg(t.priority) as priorities from (
        (select id, priority from task
          where class_id = c.class_id and priority = c.priority and id >= c.id and state = 0 and wake_time is null
          order by id limit $4)
        union all
        (select id, priority from task
          where class_id = c.class_id and priority < c.priority and state = 0 and wake_time is null
          order by priority desc, id limit $4)
        limit $4) t) w
   where w.ids is not null`,
};

/** Before every task: the highest priority that a smallint takes. */
const FRONT: Floor = { priority: 32_767, id: 0 };

// The order keeps the planner on the index whatever it believes of the table, and the limit bounds the count.
const COUNT_WAITING = {
  name: "task-count-waiting",
  text: `select c.class_id, n.count
    from unnest($1::int[]) as c(class_id)
    cross join lateral (
      select count(*)::int as count from (
        select id from task
         where class_id = c.class_id and state = 0 and wake_time is null
         order by priority desc, id
         limit $2) t) n
   where n.count > 0`,
};

const CLAIM = {
  name: "task-claim",
  text: `with ${livingSessions("$2", "$3")},
  d as materialized (
    select d.id, d.session_id, d.session_id in (select session_id from living) as lives
      from unnest($1::bigint[], $2::bigint[]) as d(id, session_id)),
  c as (
    update task t
       set state = 1, session_id = d.session_id, epoch = t.epoch + 1, attempt_count = t.attempt_count + 1,
           assign_time = now()
      from d
     where d.lives and t.id = d.id and t.state = 0 and t.wake_time is null
    returning ${CLAIM_COLUMNS}, t.payload, t.content_type, t.headers,
      (date_part('epoch', now() - t.create_time) * 1e6)::bigint as since_creation_us),
  e as (
    insert into event (name, task_ids, epoch, epochs)
    select 'assigned', ${BATCH_COLUMNS} from c having count(*) > 0)
  ${SELECT_CLAIMED}`,
};

// The record of its end is taken back with it: the attempt goes on. Asking again changes nothing.
const RETAKE = {
  name: "task-retake",
  text: `with taken as (
    update task t
       set state = 2, session_id = l.session_id, wake_time = null, accept_time = coalesce(t.accept_time, now()),
           assign_time = coalesce(t.assign_time, now()),
           attempt_count = t.attempt_count + case when t.state = 0 then 1 else 0 end
      from (select session_id from session_lease where session_id = $3 for share) l
     where t.id = $1 and t.epoch = $2 and (t.state = 0 or t.session_id = l.session_id)
    returning t.id, t.epoch),
  gone as (
    delete from task_attempt a using taken where a.task_id = taken.id and a.epoch = taken.epoch)
  select id from taken`,
};

const ASSIGNED_TO = {
  name: "task-assigned-to",
  text: `select ${ATTEMPT_COLUMNS}, t.payload, t.content_type, t.headers
    from task t where t.state = 1 and t.session_id = any($1)`,
};

const TOUCH = {
  name: "task-touch",
  text: `update task t
     set state = case when d.accept_age is null then t.state else 2 end,
         accept_time = coalesce(t.accept_time, ${happenedAt("d.accept_age", "t.assign_time")}),
         start_time = coalesce(t.start_time, ${happenedAt("d.start_age", "t.assign_time", "t.accept_time")}),
         phase = coalesce(nullif(d.phase, ''), case when d.phase is null then t.phase end),
         phase_time = case when d.phase is null then t.phase_time when d.phase = '' then null
                           else now() - d.phase_age * interval '1 ms' end,
         progress = case when d.progress is null then t.progress when d.progress = '' then null
                         else d.progress::jsonb || jsonb_build_object('at', now()) end
    from unnest($1::bigint[], $2::int[], $3::float8[], $4::float8[], $5::text[], $6::float8[], $7::text[])
      as d(id, epoch, accept_age, start_age, phase, phase_age, progress)
   where t.id = d.id and t.epoch = d.epoch and t.state in (1, 2)`,
};

const WAKE = {
  name: "task-wake",
  text: `with due as (
    select id from task where wake_time <= now() order by wake_time limit $1 for update skip locked)
  update task t set wake_time = null, ready_time = t.wake_time from due where t.id = due.id
  returning t.id, t.class_id, t.priority`,
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
}

/**
 * The first claimable tasks of each class, in the order in which they are to be given out.
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
  return rows.flatMap(({ class_id: classId, ids, priorities }) =>
    ids.map((id, index) => ({ id, classId, priority: priorities[index] ?? 0 })),
  );
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

/**
 * Gives queued tasks to sessions. Missing in the answer are those that another scheduler was faster with
 * and those whose session has ended or moved to another scheduler.
 */
export async function claim(
  db: Database,
  wanted: readonly { taskId: number; sessionId: number }[],
  schedulerId: string | undefined,
): Promise<ClaimedAttempt[]> {
  const sorted = inLockOrder(wanted, ({ taskId }) => taskId);
  const rows = await db.hot<ClaimedColumns>(CLAIM, [
    int8Array(sorted.map(({ taskId }) => taskId)),
    int8Array(sorted.map(({ sessionId }) => sessionId)),
    schedulerId ?? null,
  ]);
  return rows.flatMap(claimedAttempts);
}

/**
 * Gives an attempt that was taken back to the session that had it, as accepted; false when its task was assigned again or
 * has ended, or the session has.
 */
export async function retake(db: Database, key: AttemptKey, sessionId: number): Promise<boolean> {
  return (await db.cold<{ id: number }>(RETAKE, [key.taskId, key.epoch, sessionId])).length > 0;
}

/** Attempts that were given to these sessions and not accepted. */
export async function assignedTo(db: Database, sessionIds: readonly number[]): Promise<ClaimedAttempt[]> {
  return (await db.cold<ClaimColumns>(ASSIGNED_TO, [sessionIds])).map(toClaimedAttempt);
}

/** Writes news of running attempts; stale ones change nothing. */
export async function touch(db: Database, touches: readonly AttemptTouch[]): Promise<void> {
  const sorted = inLockOrder(touches, ({ key }) => key.taskId);
  await db.hotRetrying(TOUCH, [
    int8Array(sorted.map(({ key }) => key.taskId)),
    int4Array(sorted.map(({ key }) => key.epoch)),
    float8Array(sorted.map(({ acceptAgeMs }) => acceptAgeMs)),
    float8Array(sorted.map(({ startAgeMs }) => startAgeMs)),
    textArray(sorted.map(({ phase }) => phase)),
    float8Array(sorted.map(({ phaseAgeMs }) => phaseAgeMs)),
    textArray(sorted.map(({ progress }) => (progress === null ? "" : jsonParam(progress)))),
  ]);
}

/** Makes due tasks claimable. */
export async function wakeDue(db: Database, limit: number): Promise<WaitingTask[]> {
  return (await db.cold<WaitingColumns>(WAKE, [limit])).map(toWaiting);
}

function toWaiting(row: WaitingColumns): WaitingTask {
  return { id: row.id, classId: row.class_id, priority: row.priority };
}
