/** Releases or ends the dependents of tasks that have ended, in steps of bounded size. */
import type { DependencyCause } from "../../../domain/tasks/dependencies/dependencies.ts";
import { DEPENDENCY_FAILED } from "../../../domain/tasks/dependencies/dependencies.ts";
import {
  type DependencyPlan,
  type EndedDependency,
  type PredecessorEnd,
  planDependents,
} from "../../../domain/tasks/dependencies/dependency-plan.ts";
import type { EndState } from "../../../domain/tasks/task.ts";
import type { DependentsStep } from "../../dependencies.ts";
import { int2Array, int4Array, int8Array, jsonParam, textArray } from "../arrays.ts";
import type { Database, Statement } from "../connection/database.ts";
import { STATE, stateOf } from "../task-states.ts";
import { startTime } from "../tasks/control/hold.ts";
import { KEPT_BY_QUEUED_END } from "../tasks/task-columns.ts";
import { IS_WAITING, LINKS } from "./links.ts";

// Ends that another scheduler has taken are left to it, and dependencies that an earlier end of the predecessor counted are over. Dependents are locked in the order of their ids, and before what they
// wait for is read: another step may count an end for the same dependent. Each row is found by its own index entry, whatever
// the statistics are.
const TAKE: Statement = {
  name: "dependents-take",
  text: `with ends as materialized (
    select id, predecessor_id, state, cause, done_id, last_id from dependency_end order by id limit $1 for update skip locked),
  edges as materialized (
    select e.id as end_id, d.id, d.task_id, d.success
      from ends e cross join lateral (
        select id, task_id, success from task_dependency
         where predecessor_id = e.predecessor_id and id > e.done_id and id <= e.last_id and end_time is null
         order by id limit $2) d),
  held as materialized (
    select t.id from (select distinct task_id from edges order by task_id) n
     cross join lateral (select t.id from task t where t.id = n.task_id and ${IS_WAITING} for update) t),
  waits as materialized (
    select w.task_id, w.open_count from held
     cross join lateral (select task_id, open_count from task_wait where task_id = held.id for update) w)
  select e.id as end_id, e.predecessor_id, e.state, case when d.rank = 1 or d.id is null then e.cause end as cause,
         d.id, d.task_id, d.success, w.open_count
    from ends e
    left join (select *, row_number() over (partition by end_id order by id) as rank from edges) d on d.end_id = e.id
    left join waits w on w.task_id = d.task_id
   order by e.id, d.id`,
};

const KEPT_VALUES = KEPT_BY_QUEUED_END.split(", ")
  .map((name) =>
    name === "options" ? "coalesce(options, '{}') || jsonb_build_object('dependency', cause::jsonb)" : name,
  )
  .join(", ");

const WAKE_AFTER = `case when w.delay_ms > 0 then now() + w.delay_ms * interval '1 ms'
           when w.run_time > now() then w.run_time end`;

const START = startTime("done.wake");

const APPLY: Statement = {
  name: "dependents-apply",
  text: `with finished as (
    delete from dependency_end where id = any($1::bigint[])),
  continued as (
    update dependency_end e set done_id = u.done_id from unnest($2::bigint[], $3::bigint[]) as u(id, done_id) where e.id = u.id),
  counted as (
    update task_dependency d set end_state = u.state, end_time = now()
      from unnest($4::bigint[], $5::bigint[], $6::smallint[]) as u(task_id, predecessor_id, state)
     where d.task_id = u.task_id and d.predecessor_id = u.predecessor_id),
  waiting as (
    update task_wait w set open_count = u.open_count from unnest($7::bigint[], $8::int[]) as u(task_id, open_count)
     where w.task_id = u.task_id),
  done as (
    delete from task_wait w where w.task_id = any($9::bigint[]) returning w.task_id, w.queue_wait_ms, ${WAKE_AFTER} as wake),
  released as (
    update task t
       set links = nullif(t.links & ~${LINKS.dependent}, 0), wake_time = ${START.wakeTime}, hold = ${START.hold},
           ready_time = coalesce(done.wake, now()), start_deadline = coalesce(done.wake, now()) + done.queue_wait_ms * interval '1 ms'
      from done where t.id = done.task_id
    returning t.id, t.class_id, t.priority, t.epoch, extract(epoch from done.wake - now())::float8 * 1000 as wait_ms,
      t.hold is not null as held),
  gone as (
    delete from task t
     using unnest($10::bigint[], $11::smallint[], $12::text[], $13::text[]) as d(id, end_state, reason, cause)
     where t.id = d.id
    returning t.*, d.end_state, d.reason, d.cause),
  fin as (
    insert into task_finished (${KEPT_BY_QUEUED_END}, state, detail, failure, cancel_time, cancel_reason)
    select ${KEPT_VALUES}, end_state, '${DEPENDENCY_FAILED}',
           case end_state when ${STATE.failed} then jsonb_build_object('class', 'non_retryable', 'code', '${DEPENDENCY_FAILED}', 'message', reason)
             else failure end,
           case end_state when ${STATE.cancelled} then now() end, case end_state when ${STATE.cancelled} then reason end
      from gone),
  ev as (
    insert into event (name, task_id, epoch, attributes)
    select 'dependencies_met', id, epoch, null from released
    union all
    select case end_state when ${STATE.failed} then 'failed' else 'cancelled' end, id, epoch,
           jsonb_build_object('code', '${DEPENDENCY_FAILED}', case end_state when ${STATE.failed} then 'message' else 'reason' end, reason)
      from gone)
  select id, class_id, priority, wait_ms, held, null::smallint as end_state from released
  union all
  select id, class_id, priority, null, false, end_state from gone`,
};

interface TakenRow {
  end_id: number;
  predecessor_id: number;
  state: number;
  /** Of the first row of each end. */
  cause: DependencyCause | null;
  id: number | null;
  task_id: number | null;
  success: boolean | null;
  open_count: number | null;
}

interface AppliedRow {
  id: number;
  class_id: number;
  priority: number;
  wait_ms: number | null;
  held: boolean;
  end_state: number | null;
}

/** Takes the oldest ends, and releases or ends at most `perEnd` dependents of each. */
export function releaseDependents(db: Database, maxEnds: number, perEnd: number): Promise<DependentsStep> {
  return db.batchTransaction(async (tx) => {
    const taken = await tx.run<TakenRow>(TAKE, [maxEnds, perEnd]);
    if (taken.length === 0) return { ends: 0, released: [], ended: [] };
    const ends = taken.flatMap(({ end_id, predecessor_id, state, cause }): PredecessorEnd[] =>
      cause ? [{ id: end_id, taskId: predecessor_id, state: stateOf(state) as EndState, cause }] : [],
    );
    const dependencies = taken.flatMap(({ end_id, id, task_id, success, open_count }): EndedDependency[] =>
      id === null || task_id === null
        ? []
        : [
            {
              endId: end_id,
              id,
              taskId: task_id,
              success: success ?? true,
              openCount: open_count ?? undefined,
            },
          ],
    );
    const plan = planDependents(ends, dependencies, perEnd);
    const rows = await tx.run<AppliedRow>(APPLY, params(plan, taken));
    return {
      ends: ends.length,
      released: rows.flatMap(({ id, class_id: classId, priority, wait_ms, held, end_state }) =>
        end_state === null
          ? [{ task: { id, classId, priority }, waitMs: wait_ms ?? undefined, ...(held ? { held } : {}) }]
          : [],
      ),
      ended: rows.flatMap(({ id, class_id: classId, end_state }) =>
        end_state === null ? [] : [{ id, classId, state: stateOf(end_state) as EndState }],
      ),
    };
  });
}

function params(
  { finished, continued, waiting, released, broken }: DependencyPlan,
  taken: readonly TakenRow[],
): unknown[] {
  const edges = taken.filter(({ id }) => id !== null);
  return [
    int8Array(finished),
    int8Array(continued.map(({ endId }) => endId)),
    int8Array(continued.map(({ doneId }) => doneId)),
    int8Array(edges.map(({ task_id }) => task_id)),
    int8Array(edges.map(({ predecessor_id }) => predecessor_id)),
    int2Array(edges.map(({ state }) => state)),
    int8Array([...waiting.keys()]),
    int4Array([...waiting.values()]),
    int8Array(released),
    int8Array(broken.map(({ taskId }) => taskId)),
    int2Array(broken.map(({ state }) => STATE[state])),
    textArray(broken.map(({ reason }) => reason)),
    textArray(broken.map(({ cause }) => jsonParam(cause))),
  ];
}
