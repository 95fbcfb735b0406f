/** Ends tasks by the policies of concurrency keys, in the transaction that inserts new ones. */
import type { LimitReached, OnLimit } from "../../../domain/tasks/limits/concurrency.ts";
import {
  type EndedWait,
  type LimitPlan,
  MAX_POLICY_LIMIT,
  type OpenOfKey,
  planLimits,
  policyKeys,
} from "../../../domain/tasks/limits/limit-plan.ts";
import { limitReachedText, supersededText } from "../../../domain/tasks/limits/limited.ts";
import type { Limited } from "../../../domain/tasks/task.ts";
import type { TaskInsert } from "../../claims.ts";
import { int8Array, textArray } from "../arrays.ts";
import type { Runner, Statement } from "../connection/database.ts";
import { ACTIVE, STATE } from "../task-states.ts";
import { KEPT_BY_QUEUED_END } from "../tasks/task-columns.ts";

// Only submits take these locks, and before all others: two submits for one key decide one after the other. A row of the
// key would be locked by claims, too, which lock tasks first.
const LOCK: Statement = {
  name: "concurrency-lock-policies",
  text: `select pg_advisory_xact_lock(hashtextextended('muster concurrency key ' || d.key, 0))
    from (select distinct key from unnest($1::text[]) as u(key) order by key) d`,
};

// Of a class that waits for its keys no more than the limit is read. One whose tasks are cancelled by newer ones has no more
// open tasks than its limit, and those whose handlers have not returned.
const OPEN: Statement = {
  name: "concurrency-open",
  text: `select d.key, k.limit_override, o.tasks
    from unnest($1::text[]) as d(key)
    left join concurrency_key k on k.key = d.key
    cross join lateral (
      select json_agg(json_build_array(t.id, t.cancelling, ck.on_limit) order by t.id) as tasks
        from class_key ck cross join lateral (
          select id, cancel_time is not null as cancelling from task
           where class_id = ck.class_id
           order by priority desc, id
           limit case when ck.on_limit is distinct from 'cancel_running' then ${MAX_POLICY_LIMIT} end) t
       where ck.key = d.key) o`,
};

const LOCK_TASKS: Statement = {
  name: "concurrency-lock-tasks",
  text: "select id from task where id = any($1::bigint[]) order by id for update",
};

const KEPT = KEPT_BY_QUEUED_END.split(", ");
const KEPT_VALUES = KEPT.map((name) =>
  name === "options" ? "coalesce(options, '{}') || limited" : name,
).join(", ");

// What waits ends. Of an active one the request is recorded, and sent to the scheduler that holds its worker's stream: also
// when that is this one, which may not live to do it. Whoever asked first is not replaced.
const END: Statement = {
  name: "concurrency-end-tasks",
  text: `with d as materialized (
    select id, detail, reason, jsonb_build_object('limited', limited::jsonb) as limited
      from unnest($1::bigint[], $2::text[], $3::text[], $4::text[]) as u(id, detail, reason, limited)),
  gone as (
    delete from task t using d where t.id = d.id and t.state = ${STATE.queued}
    returning t.*, d.detail, d.reason, d.limited),
  fin as (
    insert into task_finished (${KEPT_BY_QUEUED_END}, failure, state, detail, cancel_time, cancel_reason)
    select ${KEPT_VALUES}, failure, ${STATE.cancelled}, detail, now(), reason from gone),
  asked as (
    update task t set cancel_time = now(), cancel_reason = d.reason, options = coalesce(t.options, '{}') || d.limited
      from d where t.id = d.id and t.state in ${ACTIVE} and t.cancel_time is null
    returning t.id, t.epoch, t.session_id, d.detail, d.reason),
  ev as (
    insert into event (name, task_id, epoch, attributes)
    select 'cancelled', id, epoch, jsonb_build_object('reason', reason, 'code', detail) from gone
    union all
    select 'cancel_requested', id, epoch, jsonb_build_object('reason', reason, 'code', detail) from asked),
  sent as (
    insert into command (scheduler_id, session_id, kind, body)
    select l.scheduler_id, a.session_id, 'cancel',
           jsonb_build_object('task_id', a.id::text, 'epoch', a.epoch::text, 'reason', a.reason)
      from asked a join session_lease l using (session_id)
    returning scheduler_id),
  notified as materialized (
    select pg_notify('muster', json_build_object('kind', 'command', 'schedulerId', s.scheduler_id)::text)
      from (select distinct scheduler_id from sent) s)
  select gone.id, gone.class_id from (select count(*) from notified) n left join gone on true`,
};

/** Keys of tasks for which a submit is decided under a lock. */
export function lockedKeysOf(tasks: readonly TaskInsert[]): string[] {
  return [...new Set(tasks.flatMap(({ task }) => policyKeys(task.concurrency).map(({ key }) => key)))];
}

/** Has other submits with these keys wait until the commit. */
export async function lockPolicyKeys(tx: Runner, keys: readonly string[]): Promise<void> {
  if (keys.length > 0) await tx.run(LOCK, [textArray(keys)]);
}

/** What is to become of tasks that are about to be inserted, and of older ones. The locks of the keys are held. */
export async function decideLimits(
  tx: Runner,
  keys: readonly string[],
  inserts: ReadonlyMap<number, TaskInsert>,
): Promise<LimitPlan> {
  interface Row {
    key: string;
    limit_override: number | null;
    tasks: readonly (readonly [number, boolean, OnLimit | null])[] | null;
  }
  const rows = await tx.run<Row>(OPEN, [textArray(keys)]);
  const open = new Map(
    rows.map(({ key, limit_override, tasks }): [string, OpenOfKey] => [
      key,
      {
        override: limit_override ?? undefined,
        tasks: (tasks ?? []).map(([id, cancelling, onLimit]) => ({
          id,
          cancelling,
          onLimit: onLimit ?? undefined,
        })),
      },
    ]),
  );
  return planLimits(new Map(Array.from(inserts, ([id, { task }]) => [id, task.concurrency ?? []])), open);
}

/** Carries the plan out when the new tasks have been inserted; answers those that ended at once. */
export async function endByLimits(tx: Runner, plan: LimitPlan): Promise<EndedWait[]> {
  const ends = [
    ...Array.from(plan.refused, ([id, reached]) => refusedEnd(id, reached)),
    ...plan.superseded.map(({ taskId, key, by }) => ({
      id: taskId,
      detail: "SUPERSEDED",
      reason: supersededText(key, by),
      limited: { kind: "superseded", key, by } satisfies Limited,
    })),
  ];
  if (ends.length === 0) return [];
  await tx.run(LOCK_TASKS, [int8Array(ends.map(({ id }) => id))]);
  const rows = await tx.run<{ id: number | null; class_id: number | null }>(END, [
    int8Array(ends.map(({ id }) => id)),
    textArray(ends.map(({ detail }) => detail)),
    textArray(ends.map(({ reason }) => reason)),
    textArray(ends.map(({ limited }) => JSON.stringify(limited))),
  ]);
  return rows.flatMap(({ id, class_id: classId }) =>
    id === null || classId === null ? [] : { id, classId },
  );
}

function refusedEnd(id: number, reached: LimitReached) {
  const limited: Limited = { kind: "refused", ...reached };
  return { id, detail: "CONCURRENCY_LIMIT_REACHED", reason: limitReachedText(reached), limited };
}
