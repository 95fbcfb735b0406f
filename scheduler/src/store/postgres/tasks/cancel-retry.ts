/** Cancels and retries tasks by hand. */
import type { CancelResult, RetryResult } from "../../tasks.ts";
import type { Database, Statement } from "../connection/database.ts";
import { ACTIVE, STATE } from "../task-states.ts";
import { KEPT_BY_QUEUED_END, KEPT_BY_RETRY } from "./task-columns.ts";

// A queued task ends here; of an active one the request is recorded.
const CANCEL: Statement = {
  name: "task-cancel",
  text: `with gone as (
    delete from task t where t.id = $1 and t.state = ${STATE.queued} returning t.*),
  fin as (
    insert into task_finished (${KEPT_BY_QUEUED_END}, failure, state, detail, cancel_time, cancel_reason)
    select ${KEPT_BY_QUEUED_END}, failure, ${STATE.cancelled}, 'cancelled', now(), $2 from gone),
  asked as (
    update task t set cancel_time = coalesce(t.cancel_time, now()), cancel_reason = coalesce(t.cancel_reason, $2)
     where t.id = $1 and t.state in ${ACTIVE}
    returning t.id, t.epoch, t.session_id, t.class_id),
  ev as (
    insert into event (name, task_id, epoch, attributes)
    select 'cancelled', id, epoch, jsonb_build_object('reason', $2::text) from gone
    union all
    select 'cancel_requested', id, epoch, jsonb_build_object('reason', $2::text) from asked)
  select 'cancelled' as outcome, epoch, null::bigint as session_id, class_id from gone
  union all
  select 'asked', epoch, session_id, class_id from asked`,
};

// One snapshot finds a task that moves between the tables exactly once.
const PLACE: Statement = {
  name: "task-place",
  text: `select false as ended from task where id = $1
    union all select true from task_finished where id = $1`,
};

/** A task that moves between the tables this often during one request is moved by a fault. */
const MAX_MOVES = 100;

const RETRY_WAITING: Statement = {
  name: "task-retry-waiting",
  text: `with woken as (
    update task set wake_time = null, ready_time = now() where id = $1 and state = ${STATE.queued} and wake_time is not null
    returning id, class_id, priority, epoch),
  ev as (insert into event (name, task_id, epoch) select 'retry_requested', id, epoch from woken)
  select id, class_id, priority from woken`,
};

// Its last attempt is recorded unless it ended in the queue, where it has none.
const RETRY_ENDED: Statement = {
  name: "task-retry-ended",
  text: `with back as (
    delete from task_finished where id = $1 returning *),
  attempt as (
    insert into task_attempt (task_id, epoch, number, session_id, outcome, failure, assign_time, accept_time,
      start_time, end_time)
    select id, epoch, attempt_count, session_id, detail, failure, assign_time, accept_time, start_time, finish_time
      from back where session_id is not null),
  ins as (
    insert into task (${KEPT_BY_RETRY}, failure, state, ready_time) overriding system value
    select ${KEPT_BY_RETRY}, failure, ${STATE.queued}, now() from back
    returning id, class_id, priority, epoch),
  ev as (insert into event (name, task_id, epoch) select 'retry_requested', id, epoch from ins)
  select id, class_id, priority from ins`,
};

/** Ends a queued task, or marks an active one. A second request changes nothing. */
export async function cancelTask(db: Database, id: number, reason: string): Promise<CancelResult> {
  // The statement misses a task that is claimed or requeued at the same moment: it runs again.
  for (let move = 0; move < MAX_MOVES; move++) {
    const [row] = await db.cold<{ epoch: number; session_id: number | null; class_id: number }>(CANCEL, [
      id,
      reason,
    ]);
    if (row?.session_id) {
      return { outcome: "asked", attempt: { taskId: id, epoch: row.epoch }, sessionId: row.session_id };
    }
    if (row) return { outcome: "cancelled", classId: row.class_id };
    const [place] = await db.cold<{ ended: boolean }>(PLACE, [id]);
    if (!place) return undefined;
    if (place.ended) return { outcome: "ended" };
  }
  throw new Error(`task ${id} could not be cancelled: it moved ${MAX_MOVES} times meanwhile`);
}

/** Queues an ended or waiting task to run now. */
export async function retryTask(db: Database, id: number): Promise<RetryResult> {
  interface Row {
    id: number;
    class_id: number;
    priority: number;
  }
  for (let move = 0; move < MAX_MOVES; move++) {
    for (const statement of [RETRY_WAITING, RETRY_ENDED]) {
      const [row] = await db.cold<Row>(statement, [id]);
      if (row)
        return { outcome: "queued", task: { id: row.id, classId: row.class_id, priority: row.priority } };
    }
    const [place] = await db.cold<{ ended: boolean }>(PLACE, [id]);
    if (!place) return undefined;
    // A task that has ended since the statement is tried again.
    if (!place.ended) return { outcome: "active" };
  }
  throw new Error(`task ${id} could not be retried: it moved ${MAX_MOVES} times meanwhile`);
}
