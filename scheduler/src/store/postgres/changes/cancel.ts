/** Cancels locked tasks. */
import { int8Array } from "../arrays.ts";
import type { Runner, Statement } from "../connection/database.ts";
import { ACTIVE, STATE } from "../task-states.ts";
import { KEPT_BY_QUEUED_END } from "../tasks/task-columns.ts";
import type { Carried, Carrying } from "./carrying.ts";

// What waits ends. Of an active one the request is recorded, and sent to the scheduler that holds its worker's stream: also
// when that is this one, which may not live to do it. Whoever asked first is not replaced.
const CANCEL: Statement = {
  name: "change-cancel",
  text: `with gone as (
    delete from task t using unnest($1::bigint[]) as d(id) where t.id = d.id and t.state = ${STATE.queued}
    returning t.*),
  fin as (
    insert into task_finished (${KEPT_BY_QUEUED_END}, failure, state, detail, cancel_time, cancel_reason)
    select ${KEPT_BY_QUEUED_END}, failure, ${STATE.cancelled}, 'cancelled', now(), $2 from gone),
  asked as (
    update task t set cancel_time = coalesce(t.cancel_time, now()), cancel_reason = coalesce(t.cancel_reason, $2)
      from unnest($1::bigint[]) as d(id) where t.id = d.id and t.state in ${ACTIVE}
    returning t.id, t.epoch, t.session_id, t.cancel_reason),
  ev as (
    insert into event (name, task_id, epoch, attributes)
    select 'cancelled', id, epoch, jsonb_build_object('reason', $2::text) from gone
    union all
    select 'cancel_requested', id, epoch, jsonb_build_object('reason', $2::text) from asked),
  sent as (
    insert into command (scheduler_id, session_id, kind, body)
    select l.scheduler_id, a.session_id, 'cancel',
           jsonb_build_object('task_id', a.id::text, 'epoch', a.epoch::text, 'reason', $2::text)
      from asked a join session_lease l using (session_id)
    returning scheduler_id),
  notified as materialized (
    select pg_notify('muster', json_build_object('kind', 'command', 'schedulerId', s.scheduler_id)::text)
      from (select distinct scheduler_id from sent) s)
  select t.id, t.class_id, t.ended
    from (select count(*) from notified) n
    left join (
      select id, class_id, true as ended from gone
      union all
      select id, null, false from asked) t on true`,
};

export async function cancelFound(tx: Runner, { tasks, reason }: Carrying): Promise<Carried> {
  if (tasks.length === 0) return {};
  const rows = await tx.run<{ id: number | null; class_id: number | null; ended: boolean | null }>(CANCEL, [
    int8Array(tasks.map(({ id }) => id)),
    reason,
  ]);
  return {
    ended: rows.flatMap(({ id, class_id: classId }) =>
      id === null || classId === null ? [] : [{ id, classId }],
    ),
    requested: rows.flatMap(({ id, ended }) => (id === null || ended ? [] : [id])),
  };
}
