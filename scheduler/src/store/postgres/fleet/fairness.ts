/** Lists fairness keys with their tasks, and writes the weights of operators. */
import type { FairnessWeight } from "../../../domain/tasks/fairness.ts";
import { type FairnessStore, MAX_COUNTED } from "../../fairness.ts";
import type { FairnessKeyRow } from "../../store.ts";
import type { Database, Statement } from "../connection/database.ts";
import { ACTIVE, STATE } from "../task-states.ts";

const WEIGHTS: Statement = {
  name: "fairness-weights",
  text: "select queue, key, weight from fairness_weight",
};

const SET: Statement = {
  name: "fairness-set",
  text: `with w as (
    insert into fairness_weight (queue, key, weight, reason) values ($1, $2, $3::int, $4)
    on conflict (queue, key) do update set weight = excluded.weight, reason = excluded.reason, set_time = now()
    returning queue, key, weight, reason),
  e as (
    insert into event (name, attributes)
    select 'fairness_weight.set', jsonb_build_object('queue', queue, 'key', key, 'weight', weight::text, 'reason', reason)
      from w)
  select pg_notify('muster', '{"kind":"queue"}') from w`,
};

const UNSET: Statement = {
  name: "fairness-unset",
  text: `with w as (delete from fairness_weight where queue = $1 and key = $2 returning queue, key),
  e as (
    insert into event (name, attributes)
    select 'fairness_weight.unset', jsonb_build_object('queue', queue, 'key', key) from w)
  select pg_notify('muster', '{"kind":"queue"}') from w`,
};

// Classes without open tasks are passed over by one look into the index of tasks each. The order makes the planner use
// that index whatever the statistics are, and the limits bound what is counted.
const LIST: Statement = {
  name: "fairness-list",
  text: `with k as (
    select key from (
      select c.fairness ->> 'key' as key from task_class c
       where c.queue = $1 and c.fairness is not null and ($2::text is null or c.fairness ->> 'key' = $2)
         and ($3::text is null or c.fairness ->> 'key' > $3)
         and exists (select from task t where t.class_id = c.id)
      union
      select key from fairness_weight
       where queue = $1 and ($2::text is null or key = $2) and ($3::text is null or key > $3)) u
     order by key limit $4)
  select k.key, w.weight, w.reason, w.set_time, s.task_weight, s.ready, s.active
    from k left join fairness_weight w on w.queue = $1 and w.key = k.key
    cross join lateral (
      select max((c.fairness ->> 'weight')::int) as task_weight, coalesce(sum(r.n), 0)::int as ready,
             coalesce(sum(a.n), 0)::int as active
        from task_class c
        cross join lateral (
          select count(*) as n from (
            select from task where class_id = c.id and state = ${STATE.queued} and wake_time is null
             order by priority desc, id limit ${MAX_COUNTED}) q) r
        cross join lateral (select count(*) as n from task where class_id = c.id and state in ${ACTIVE}) a
       where c.queue = $1 and c.fairness ->> 'key' = k.key and c.fairness is not null
         and exists (select from task t where t.class_id = c.id)) s
   order by k.key`,
};

/** The weights that operators set. */
export function fairnessWeights(db: Database): Promise<FairnessWeight[]> {
  return db.cold<FairnessWeight & { [column: string]: unknown }>(WEIGHTS, []);
}

/** Sets the weight of a key, or takes it back; other schedulers get a hint. */
export async function setFairnessWeight(
  db: Database,
  queue: string,
  key: string,
  set: Parameters<FairnessStore["setFairnessWeight"]>[2],
): Promise<void> {
  if (set) await db.cold(SET, [queue, key, set.weight, set.reason]);
  else await db.cold(UNSET, [queue, key]);
}

/** Keys of a queue by name. */
export async function listFairnessKeys(
  db: Database,
  { queue, key, afterKey, limit }: Parameters<FairnessStore["listFairnessKeys"]>[0],
): Promise<FairnessKeyRow[]> {
  interface Row {
    key: string;
    weight: number | null;
    reason: string | null;
    set_time: Date | null;
    task_weight: number | null;
    ready: number;
    active: number;
  }
  const rows = await db.cold<Row>(LIST, [queue, key ?? null, afterKey ?? null, limit]);
  return rows.map((row) => ({
    queue,
    key: row.key,
    taskWeight: row.task_weight ?? undefined,
    override:
      row.weight === null || row.set_time === null
        ? undefined
        : { weight: row.weight, reason: row.reason ?? "", since: row.set_time },
    ready: row.ready,
    active: row.active,
  }));
}
