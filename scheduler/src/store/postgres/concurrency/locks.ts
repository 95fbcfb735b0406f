/** Lists concurrency keys with the tasks that hold them and those that wait. */

import { MAX_WAITING } from "../../concurrency.ts";
import type { KeyHolder, LockRow } from "../../store.ts";
import type { Database, Statement } from "../connection/database.ts";
import { ACTIVE, STATE } from "../task-states.ts";
import { type FrontColumns, toOrder } from "./orders.ts";

// Active tasks are mostly the first of their class, and of none more are read than the key counts: a class in which
// 100,000 wait is not read to its end.
const HOLDERS = `select json_agg(h order by h.since, h.id) from (
      select t.id, t.epoch, t.since, c.type, c.queue, s.worker_id
        from class_key ck join task_class c on c.id = ck.class_id
        cross join lateral (
          select id, epoch, session_id, assign_time as since from task
           where class_id = ck.class_id and state in ${ACTIVE}
           order by priority desc, id limit k.held) t
        left join worker_session s on s.id = t.session_id
       where ck.key = k.key
       order by t.since, t.id limit $5) h`;

const WAITING = `select count(*)::int as count, min(t.ready) as since from class_key ck cross join lateral (
      select coalesce(ready_time, create_time) as ready from task
       where class_id = ck.class_id and state = ${STATE.queued} and wake_time is null
       order by priority desc, id limit ${MAX_WAITING}) t
     where ck.key = k.key`;

const IS_WAITED_FOR = `exists (
      select from class_key ck cross join lateral (
        select from task where class_id = ck.class_id and state = ${STATE.queued} and wake_time is null
         order by priority desc, id limit 1) t
       where ck.key = k.key)`;

// Keys that begin with a control character are those of circuits.
const LIST: Statement = {
  name: "concurrency-list",
  text: `select k.key, k.held, k.limit_override, k.limit_reason, k.limit_time, l.least, l.most, w.count as waiting,
      w.since as waiting_since, (${HOLDERS}) as holders, (order_fronts(array[k.key]))[1] as front
    from (
      select * from concurrency_key k
       where left(k.key, 1) <> e'\\x01' and ($1::text is null or k.key = $1) and ($2::text is null or k.key > $2)
         and (case when $3 then ${IS_WAITED_FOR}
              else k.held > 0 or k.limit_override is not null or ${IS_WAITED_FOR} end)
       order by k.key limit $4) k
    cross join lateral (select min(max_held) as least, max(max_held) as most from class_key where key = k.key) l
    cross join lateral (${WAITING}) w
   order by k.key`,
};

interface LockColumns {
  key: string;
  held: number;
  limit_override: number | null;
  limit_reason: string | null;
  limit_time: Date | null;
  least: number | null;
  most: number | null;
  waiting: number;
  waiting_since: Date | null;
  holders: HolderColumns[] | null;
  front: FrontColumns[1];
}

interface HolderColumns {
  id: number;
  epoch: number;
  since: string;
  type: string;
  queue: string;
  worker_id: string | null;
}

/** Keys by name that tasks hold or wait for, or that have a limit of the operator's. */
export async function listLocks(
  db: Database,
  filter: {
    key?: string | undefined;
    afterKey?: string | undefined;
    blocked: boolean;
    limit: number;
    maxHolders: number;
  },
): Promise<LockRow[]> {
  const { key, afterKey, blocked, limit, maxHolders } = filter;
  // Without statistics the planner would read all of a class and sort it, to find the first ones.
  const values = [key ?? null, afterKey ?? null, blocked, limit, maxHolders];
  const rows = await db.coldPinned<LockColumns>(LIST, values);
  return rows.map(toLock);
}

function toLock(row: LockColumns): LockRow {
  const { key, held, limit_override: limit, limit_reason: reason, limit_time: time, least, most } = row;
  return {
    key,
    held,
    taskLimits: least === null || most === null ? undefined : { least, most },
    override: limit === null || time === null ? undefined : { limit, reason: reason ?? "", time },
    holders: (row.holders ?? []).map((holder) => toHolder(key, holder)),
    waiting: row.waiting,
    waitingSince: row.waiting_since ?? undefined,
    firstInOrder: toOrder([key, row.front], NONE).first?.id,
  };
}

const NONE: ReadonlySet<number> = new Set();

function toHolder(key: string, { id, epoch, since, type, queue, worker_id }: HolderColumns): KeyHolder {
  return { key, taskId: id, epoch, type, queue, workerId: worker_id ?? undefined, since: new Date(since) };
}
