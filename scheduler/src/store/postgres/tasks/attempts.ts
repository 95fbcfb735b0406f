/** Reads the attempts of a task that ended without ending it, and whether a result is committed. */
import type { AttemptKey } from "../../../domain/ids.ts";
import type { MetricSums } from "../../../domain/tasks/attempts/handler-report.ts";
import type { Attempts } from "../../../domain/tasks/task.ts";
import { int4Array, int8Array } from "../arrays.ts";
import type { Database, Statement } from "../connection/database.ts";
import { STATE } from "../task-states.ts";
import { fromStoredFailure, type StoredFailure } from "./failure-json.ts";

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
    (select * from task_attempt where task_id = $1 order by epoch desc limit ${LAST_ATTEMPTS})),
  m as (
    select epoch, metrics from attempt_metric
     where task_id = $1 and (epoch in (select epoch from a)
        or epoch = (select max(epoch) from attempt_metric where task_id = $1)))
  select coalesce(a.epoch, m.epoch) as epoch, m.metrics, a.number, a.outcome, a.assign_time, a.accept_time, a.start_time, a.end_time, s.worker_id, s.hello ->> 'buildId' as build,
         case when length(a.failure ->> 'traceback') > ${ATTEMPT_TRACEBACK}
              then jsonb_set(a.failure, '{traceback}',
                to_jsonb(left(a.failure ->> 'traceback', ${ATTEMPT_TRACEBACK}) || E'\n(' ||
                  length(a.failure ->> 'traceback') - ${ATTEMPT_TRACEBACK} || ' more characters are left out)'))
              else a.failure end as failure,
         (select count(*) from task_attempt where task_id = $1) as total
    from a full join m on m.epoch = a.epoch left join worker_session s on s.id = a.session_id
   order by 1`,
};

/** Attempts that ended without ending the task, of many the first and the last, and what the current or last one measured. */
export async function countedAttempts(db: Database, id: number): Promise<Attempts> {
  interface Row {
    epoch: number;
    metrics: MetricSums | null;
    /** Null for one that has not ended, or ended the task: only what it measured is read. */
    number: number | null;
    outcome: string;
    failure: StoredFailure | null;
    assign_time: Date | null;
    accept_time: Date | null;
    start_time: Date | null;
    end_time: Date;
    worker_id: string | null;
    build: string | null;
    total: number;
  }
  const rows = await db.cold<Row>(ATTEMPTS, [id]);
  const ended = rows.filter((row): row is Row & { number: number } => row.number !== null);
  const omitted = (rows[0]?.total ?? 0) - ended.length;
  const last = rows.findLast(({ metrics }) => metrics !== null);
  const kept = ended.map((row) => ({
    epoch: row.epoch,
    ...(row.metrics ? { measured: row.metrics } : {}),
    number: row.number,
    workerId: row.worker_id ?? undefined,
    ...(row.build ? { build: row.build } : {}),
    outcome: row.outcome,
    failure: fromStoredFailure(row.failure),
    assignTime: row.assign_time ?? undefined,
    acceptTime: row.accept_time ?? undefined,
    startTime: row.start_time ?? undefined,
    endTime: row.end_time,
  }));
  return {
    kept,
    omitted,
    ...(last?.metrics ? { lastMeasured: { epoch: last.epoch, sums: last.metrics } } : {}),
  };
}

// An attempt that the scheduler ended (its worker was lost, or it timed out) has no result of its own.
const COMMITTED: Statement = {
  name: "task-committed",
  text: `select d.id, d.epoch from unnest($1::bigint[], $2::int[]) as d(id, epoch)
   where exists (select from task_finished f where f.id = d.id and f.epoch = d.epoch and (f.state = ${STATE.succeeded}
           or f.state = ${STATE.failed} and f.failure ->> 'class' in ('retryable', 'non_retryable')))
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
