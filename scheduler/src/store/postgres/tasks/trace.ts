/** Reads the facts of attempts for their traces. */
import type { AttemptKey } from "../../../domain/ids.ts";
import type { AttemptFacts, TaskTrace } from "../../../domain/tasks/trace.ts";
import type { Database, Statement } from "../connection/database.ts";
import { STATE } from "../task-states.ts";

const epochMs = (time: string) => `extract(epoch from ${time})::float8 * 1000`;

// An attempt is in task_attempt when it ended without ending its task, else in the task's own row. A task
// that ended and was retried by hand waits from then on; one that was requeued waits from the attempt before.
const FACTS: Statement = {
  name: "attempt-facts",
  text: `with d as (
    select * from unnest($1::bigint[], $2::int[]) with ordinality as d(id, epoch, ord)),
  t as (
    select id, class_id, epoch, create_time, options, session_id, attempt_count, assign_time, accept_time, start_time,
           null::timestamptz as finish_time, null::text as detail, null::jsonb as failure
      from task where id = any($1)
    union all
    select id, class_id, epoch, create_time, options, session_id, attempt_count, assign_time, accept_time, start_time,
           finish_time, detail, case when state = ${STATE.failed} then failure end
      from task_finished where id = any($1)),
  f as (
    select d.ord, d.id, case d.epoch when 0 then t.epoch + 1 else d.epoch end as epoch, t.class_id, t.create_time, t.options -> 'trace' as trace,
           case when a.task_id is null then t.session_id else a.session_id end as session_id,
           case when a.task_id is null then t.attempt_count else a.number end as number,
           case when a.task_id is null then t.assign_time else a.assign_time end as assign_time,
           case when a.task_id is null then t.accept_time else a.accept_time end as accept_time,
           case when a.task_id is null then t.start_time else a.start_time end as start_time,
           case when a.task_id is null then t.finish_time else a.end_time end as end_time,
           case when a.task_id is null then t.detail else a.outcome end as outcome,
           case when a.task_id is null then t.failure else a.failure end as failure
      from d
      join t on t.id = d.id
      left join task_attempt a on a.task_id = d.id and a.epoch = d.epoch
     where (a.task_id is not null or t.epoch = d.epoch or (d.epoch = 0 and t.finish_time is not null))
       and t.options ? 'trace')
  select f.ord, f.id, f.epoch, f.class_id, c.queue, c.type, f.trace, p.outcome as previous_outcome, f.number, f.outcome, f.failure,
         s.worker_id, s.hello -> 'features' as features,
         ${epochMs(`greatest(f.create_time, case when p.outcome like 'requeued:%' then p.end_time else r.time end)`)} as waiting_since,
         ${epochMs("f.assign_time")} as assigned, ${epochMs("f.accept_time")} as accepted,
         ${epochMs("f.start_time")} as started, ${epochMs("f.end_time")} as ended
    from f
    join task_class c on c.id = f.class_id
    left join worker_session s on s.id = f.session_id
    left join lateral (
      select end_time, outcome from task_attempt where task_id = f.id and epoch < f.epoch order by epoch desc limit 1) p on true
    left join lateral (
      select max(time) as time from event
       where task_id = f.id and name = 'retry_requested' and time <= coalesce(f.assign_time, f.end_time)) r on true`,
};

interface Row {
  ord: number;
  id: number;
  epoch: number;
  class_id: number;
  queue: string;
  type: string;
  trace: TaskTrace;
  previous_outcome: string | null;
  number: number;
  outcome: string | null;
  failure: { code?: string; message?: string } | null;
  worker_id: string | null;
  features: string[] | null;
  waiting_since: number;
  assigned: number | null;
  accepted: number | null;
  started: number | null;
  ended: number | null;
}

/** The facts of these attempts, in their order; undefined for those whose task is not traced. */
export async function attemptFacts(
  db: Database,
  keys: readonly AttemptKey[],
): Promise<(AttemptFacts | undefined)[]> {
  const rows = await db.cold<Row>(FACTS, [keys.map(({ taskId }) => taskId), keys.map(({ epoch }) => epoch)]);
  const byOrder = new Map(rows.map((row) => [row.ord, toFacts(row)]));
  return keys.map((_, index) => byOrder.get(index + 1));
}

function toFacts(row: Row): AttemptFacts {
  return {
    taskId: row.id,
    epoch: row.epoch,
    classId: row.class_id,
    queue: row.queue,
    type: row.type,
    trace: row.trace,
    waitingSinceMs: row.waiting_since,
    previousOutcome: row.previous_outcome ?? undefined,
    number: row.number,
    workerId: row.worker_id ?? undefined,
    workerFeatures: row.features ?? [],
    assignedMs: row.assigned ?? undefined,
    acceptedMs: row.accepted ?? undefined,
    startedMs: row.started ?? undefined,
    endedMs: row.ended ?? undefined,
    outcome: row.outcome ?? undefined,
    failure: row.failure
      ? { code: row.failure.code ?? "UNKNOWN", message: row.failure.message ?? "" }
      : undefined,
  };
}
