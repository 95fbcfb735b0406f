/** Writes what handlers measured: the sums of their attempts, and the totals by minute. */
import { MAX_METRICS } from "../../../domain/tasks/attempts/handler-report.ts";
import type { AttemptSums, MetricGrowth } from "../../metrics.ts";
import { int4Array, int8Array, jsonParam, textArray } from "../arrays.ts";
import type { Database, Statement } from "../connection/database.ts";
import { inLockOrder } from "../locks.ts";
import { ACTIVE } from "../task-states.ts";

// The row of an attempt is locked by its upsert, and `prior` has what was there before: so the growth is exact when two schedulers
// write at once, and a repetition grows nothing. Rows of attempts are locked in the order of their tasks, those of the totals
// after them in the order of their keys: no two statements wait for each other. A row has fewer than 64 names, whatever
// workers and schedulers send.
const ADD: Statement = {
  name: "metrics-add",
  text: `with held as materialized (
    select d.id, d.epoch, d.sums::jsonb as sums, d.facts::jsonb as facts, t.class_id, c.queue, c.type
      from unnest($1::bigint[], $2::int[], $3::text[], $4::text[]) as d(id, epoch, sums, facts)
      join task t on t.id = d.id and t.epoch = d.epoch and t.state in ${ACTIVE}
      join task_class c on c.id = t.class_id),
  put as (
    insert into attempt_metric as a (task_id, epoch, metrics, facts) select id, epoch, sums, facts from held order by id
    on conflict (task_id, epoch) do update
       set prior = a.metrics, facts = coalesce(excluded.facts, a.facts),
           metrics = a.metrics || (
             select coalesce(jsonb_object_agg(n.key, n.value), '{}') from jsonb_each(excluded.metrics) n
              where case when a.metrics ? n.key then n.value::float8 > (a.metrics -> n.key)::float8
                    else (select count(*) from jsonb_object_keys(a.metrics)) < ${MAX_METRICS} end)
    returning a.task_id, a.metrics, a.prior),
  grown as materialized (
    select held.class_id, held.queue, held.type, m.key as name,
           m.value::float8 - coalesce((put.prior -> m.key)::float8, 0) as growth,
           not coalesce(put.prior ? m.key, false) as is_first
      from put join held on held.id = put.task_id
     cross join lateral jsonb_each(put.metrics) m
     where put.prior is null or put.prior -> m.key is distinct from m.value),
  totals as (
    insert into metric_total as s (time, queue, type, name, total, attempt_count)
    select date_trunc('minute', now()), queue, type, name, sum(growth), count(*) filter (where is_first)
      from grown group by queue, type, name order by queue, type, name
    on conflict (time, queue, type, name) do update
       set total = s.total + excluded.total, attempt_count = s.attempt_count + excluded.attempt_count)
  select class_id, name, sum(growth)::float8 as growth from grown group by class_id, name`,
};

/** Stores sums of attempts that are current; answers by how much those of their classes have grown. */
export async function addMetrics(db: Database, sums: readonly AttemptSums[]): Promise<MetricGrowth[]> {
  const sorted = inLockOrder(sums, ({ key }) => key.taskId);
  const rows = await db.hotRetrying<{ class_id: number; name: string; growth: number }>(ADD, [
    int8Array(sorted.map(({ key }) => key.taskId)),
    int4Array(sorted.map(({ key }) => key.epoch)),
    textArray(sorted.map((each) => jsonParam(each.sums))),
    textArray(sorted.map(({ facts }) => (Object.keys(facts).length === 0 ? null : jsonParam(facts)))),
  ]);
  return rows.map(({ class_id, name, growth }) => ({ classId: class_id, name, growth }));
}
