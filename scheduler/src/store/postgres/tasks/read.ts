import type { AttemptKey } from "../../../domain/ids.ts";
import type { Failure } from "../../../domain/tasks/failure.ts";
import {
  type Attempts,
  END_STATES,
  OPEN_STATES,
  type TaskRecord,
  type TaskState,
} from "../../../domain/tasks/task.ts";
import type { TaskFilter, WaitingTask } from "../../store.ts";
import { int4Array, int8Array } from "../arrays.ts";
import type { Database, Statement } from "../connection/database.ts";
import { stateNumber, type TaskColumns, toTaskRecord } from "../rows.ts";

const OPEN_COLUMNS = `t.id, t.class_id, t.state, null::text as detail, t.priority, t.content_type, t.headers,
  t.unique_key, t.options, t.attempt_count, t.oom_count, t.requeue_counts, t.epoch, t.session_id, t.create_time, t.ready_time, t.wake_time,
  t.assign_time, t.accept_time, t.start_time, null::timestamptz as finish_time, t.phase, t.phase_time, t.progress,
  null::text as output_content_type, t.failure, null::jsonb as warnings, null::jsonb as metrics,
  null::float8 as run_ms, null::bigint as peak_rss_bytes, t.cancel_time, t.cancel_reason,
  octet_length(t.payload) as payload_bytes, null::int as output_bytes`;
const ENDED_COLUMNS = `t.id, t.class_id, t.state, t.detail, t.priority, t.content_type, t.headers, t.unique_key,
  t.options, t.attempt_count, t.oom_count, null::jsonb as requeue_counts, t.epoch, t.session_id, t.create_time, null::timestamptz as ready_time, null::timestamptz as wake_time,
  t.assign_time, t.accept_time, t.start_time, t.finish_time, t.phase, null::timestamptz as phase_time, t.progress,
  t.output_content_type, t.failure, t.warnings, t.metrics, t.run_ms, t.peak_rss_bytes,
  t.cancel_time, t.cancel_reason, octet_length(t.payload) as payload_bytes, octet_length(t.output) as output_bytes`;

/** Warnings of a task that a list reads, bytes as stored: a handler may write megabytes of them. */
const LISTED_WARNINGS = 16_384;

// What is left out is named. Tracebacks of a page of tasks would be up to 200 MB.
const UNREAD = `array_remove(array[
    case when t.failure ? 'traceback' then 'failure.traceback' end,
    case when pg_column_size(t.warnings) > ${LISTED_WARNINGS} then 'warnings' end], null) as unread`;
const LISTED = `t.id, t.class_id, t.state, t.detail, t.priority, t.content_type, t.headers, t.unique_key, t.options,
  t.attempt_count, t.oom_count, t.requeue_counts, t.epoch, t.session_id, t.create_time, t.ready_time, t.wake_time, t.assign_time,
  t.accept_time, t.start_time, t.finish_time, t.phase, t.phase_time, t.progress, t.output_content_type,
  t.failure - 'traceback' as failure,
  case when pg_column_size(t.warnings) > ${LISTED_WARNINGS} then null else t.warnings end as warnings, t.metrics,
  t.run_ms, t.peak_rss_bytes, t.cancel_time, t.cancel_reason, t.payload_bytes, t.output_bytes, t.payload, t.output,
  ${UNREAD}`;
const NO_BODY = "null::bytea as payload, null::bytea as output";

const LIST_JOINED = `select ${LISTED}, c.queue, c.type, c.labels, c.resources, c.alone, s.worker_id
    from t join task_class c on c.id = t.class_id left join worker_session s on s.id = t.session_id`;

const JOINED = `select t.*, c.queue, c.type, c.labels, c.resources, c.alone, s.worker_id
    from t join task_class c on c.id = t.class_id left join worker_session s on s.id = t.session_id`;

// Without the bodies, which may have megabytes.
const FOLLOWED: Statement = {
  name: "task-followed",
  text: `with t as (
    select ${OPEN_COLUMNS}, ${NO_BODY}, t.xmin::text as version from task t where t.id = $1
    union all
    select ${ENDED_COLUMNS}, ${NO_BODY}, '' from task_finished t where t.id = $1)
  ${JOINED}`,
};

const GET: Statement = {
  name: "task-get",
  text: `with t as (
    select ${OPEN_COLUMNS}, t.payload, null::bytea as output from task t where t.id = $1
    union all
    select ${ENDED_COLUMNS}, t.payload, t.output from task_finished t where t.id = $1)
  ${JOINED}`,
};

const LIST: Statement = {
  name: "task-list",
  text: `with t as (
    (select ${OPEN_COLUMNS}, ${NO_BODY} from task t
      where ($1::bigint is null or t.id < $1) and t.state = any($2::smallint[])
        and ($3::text is null and $4::text is null or t.class_id in (
          select id from task_class where queue = coalesce($3, queue) and type = coalesce($4, type)))
        and $5::text is null
        and ($6::text is null or t.session_id in (select id from worker_session where worker_id = $6))
      order by t.id desc limit $7)
    union all
    (select ${ENDED_COLUMNS}, ${NO_BODY} from task_finished t
      where ($1::bigint is null or t.id < $1) and t.state = any($2::smallint[])
        and ($3::text is null and $4::text is null or t.class_id in (
          select id from task_class where queue = coalesce($3, queue) and type = coalesce($4, type)))
        and ($5::text is null or t.detail = $5)
        and ($6::text is null or t.session_id in (select id from worker_session where worker_id = $6))
      order by t.id desc limit $7))
  ${LIST_JOINED} order by t.id desc limit $7`,
};

/** Attempts that are read: the first and the last of a task that was tried a thousand times. */
const FIRST_ATTEMPTS = 20;
const LAST_ATTEMPTS = 80;

/** Characters of an attempt's traceback that are read: an attempt is one of up to a hundred in a message. */
const ATTEMPT_TRACEBACK = 4_096;

const ATTEMPTS: Statement = {
  name: "task-attempts",
  text: `with a as (
    (select * from task_attempt where task_id = $1 order by epoch limit ${FIRST_ATTEMPTS})
    union
    (select * from task_attempt where task_id = $1 order by epoch desc limit ${LAST_ATTEMPTS}))
  select a.epoch, a.number, a.outcome, a.assign_time, a.accept_time, a.start_time, a.end_time, s.worker_id,
         case when length(a.failure ->> 'traceback') > ${ATTEMPT_TRACEBACK}
              then jsonb_set(a.failure, '{traceback}',
                to_jsonb(left(a.failure ->> 'traceback', ${ATTEMPT_TRACEBACK}) || E'\n(' ||
                  length(a.failure ->> 'traceback') - ${ATTEMPT_TRACEBACK} || ' more characters are left out)'))
              else a.failure end as failure,
         (select count(*) from task_attempt where task_id = $1) as total
    from a left join worker_session s on s.id = a.session_id
   order by a.epoch`,
};

// A queued task ends here; an active one only remembers that its end was asked for.
const CANCEL: Statement = {
  name: "task-cancel",
  text: `with gone as (
    delete from task t where t.id = $1 and t.state = 0 returning t.*),
  fin as (
    insert into task_finished (id, class_id, priority, state, detail, attempt_count, oom_count, epoch, create_time,
      cancel_time, cancel_reason, unique_key, content_type, headers, options, failure, payload)
    select id, class_id, priority, 5, 'cancelled', attempt_count, oom_count, epoch, create_time, now(), $2, unique_key,
      content_type, headers, options, failure, payload from gone),
  asked as (
    update task t set cancel_time = coalesce(t.cancel_time, now()), cancel_reason = coalesce(t.cancel_reason, $2)
     where t.id = $1 and t.state in (1, 2)
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

/** A task that moves this often between a try and the look for it is moved by a fault. */
const MAX_MOVES = 100;

const RETRY_WAITING: Statement = {
  name: "task-retry-waiting",
  text: `with woken as (
    update task set wake_time = null, ready_time = now() where id = $1 and state = 0 and wake_time is not null
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
    insert into task (id, class_id, priority, state, epoch, create_time, ready_time, unique_key, content_type, headers, options,
      failure, payload) overriding system value
    select id, class_id, priority, 0, epoch, create_time, now(), unique_key, content_type, headers, options, failure,
           payload
      from back
    returning id, class_id, priority, epoch),
  ev as (insert into event (name, task_id, epoch) select 'retry_requested', id, epoch from ins)
  select id, class_id, priority from ins`,
};

const OVERDUE: Statement = {
  name: "task-overdue",
  text: `with due as (
    select id from task where start_deadline < now() and state = 0 and epoch = 0
     order by start_deadline limit $1 for update skip locked),
  gone as (delete from task t using due where t.id = due.id returning t.*),
  fin as (
    insert into task_finished (id, class_id, priority, state, detail, attempt_count, oom_count, epoch, create_time,
      unique_key, content_type, headers, options, failure, payload)
    select id, class_id, priority, 4, 'DEADLINE_BEFORE_START', attempt_count, oom_count, epoch, create_time, unique_key,
      content_type, headers, options,
      jsonb_build_object('class', 'timed_out', 'code', 'DEADLINE_BEFORE_START', 'message',
        'the task waited longer in the queue than its queue_wait timeout allows'), payload from gone),
  ev as (insert into event (name, task_id, epoch, attributes)
    select 'failed', id, epoch, '{"code": "DEADLINE_BEFORE_START"}' from gone)
  select id, class_id from gone`,
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

/** Attempts that ended without ending the task: of many the first and the last. */
export async function countedAttempts(db: Database, id: number): Promise<Attempts> {
  interface Row {
    epoch: number;
    number: number;
    outcome: string;
    failure: Failure | null;
    assign_time: Date | null;
    accept_time: Date | null;
    start_time: Date | null;
    end_time: Date;
    worker_id: string | null;
    total: number;
  }
  const rows = await db.cold<Row>(ATTEMPTS, [id]);
  const omitted = (rows[0]?.total ?? 0) - rows.length;
  const kept = rows.map((row) => ({
    epoch: row.epoch,
    number: row.number,
    workerId: row.worker_id ?? undefined,
    outcome: row.outcome,
    failure: row.failure ?? undefined,
    assignTime: row.assign_time ?? undefined,
    acceptTime: row.accept_time ?? undefined,
    startTime: row.start_time ?? undefined,
    endTime: row.end_time,
  }));
  return { kept, omitted };
}

// An attempt that somebody else ended (its worker was lost, its time was over) has no result of its own.
const COMMITTED: Statement = {
  name: "task-committed",
  text: `select d.id, d.epoch from unnest($1::bigint[], $2::int[]) as d(id, epoch)
   where exists (select from task_finished f where f.id = d.id and f.epoch = d.epoch and (f.state = 3
           or f.state = 4 and f.failure ->> 'class' in ('retryable', 'non_retryable')))
      or exists (select from task_attempt a where a.task_id = d.id and a.epoch = d.epoch and a.outcome = 'requeued:retry')`,
};

/** Those of the attempts whose own result is committed. */
export async function committedResults(db: Database, keys: readonly AttemptKey[]): Promise<AttemptKey[]> {
  const rows = await db.cold<{ id: number; epoch: number }>(COMMITTED, [
    int8Array(keys.map(({ taskId }) => taskId)),
    int4Array(keys.map(({ epoch }) => epoch)),
  ]);
  return rows.map(({ id, epoch }) => ({ taskId: id, epoch }));
}

/** Tasks, newest first. */
export async function listTasks(db: Database, filter: TaskFilter): Promise<TaskRecord[]> {
  const states: readonly TaskState[] =
    filter.states.length > 0 ? filter.states : [...OPEN_STATES, ...END_STATES];
  const rows = await db.cold<TaskColumns>(LIST, [
    filter.beforeId ?? null,
    states.map(stateNumber),
    filter.queue ?? null,
    filter.type ?? null,
    filter.detail ?? null,
    filter.workerId ?? null,
    filter.limit,
  ]);
  return rows.map(toTaskRecord);
}

/** Ends a queued task, or marks an active one. Asking again is harmless. */
export async function cancelTask(
  db: Database,
  id: number,
  reason: string,
): Promise<
  | { outcome: "cancelled"; classId: number }
  | { outcome: "ended" }
  | { outcome: "asked"; attempt: AttemptKey; sessionId: number }
  | undefined
> {
  // A task that is claimed or requeued in this moment is passed over by the statement, and tried again.
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
export async function retryTask(
  db: Database,
  id: number,
): Promise<{ outcome: "queued"; task: WaitingTask } | { outcome: "active" } | undefined> {
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
    // One that has ended since the look for it is tried again.
    if (!place.ended) return { outcome: "active" };
  }
  throw new Error(`task ${id} could not be retried: it moved ${MAX_MOVES} times meanwhile`);
}

/** Fails tasks that did not start by their deadline; returns them. */
export async function failOverdue(db: Database, limit: number): Promise<{ id: number; classId: number }[]> {
  const rows = await db.cold<{ id: number; class_id: number }>(OVERDUE, [limit]);
  return rows.map((row) => ({ id: row.id, classId: row.class_id }));
}
