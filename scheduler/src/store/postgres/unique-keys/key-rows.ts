/**
 * Locks the rows of unique keys, and reads the tasks that they belong to.
 *
 * Every statement that gives a key to a task holds the lock of the key's row until its commit, so the owner of a key is
 * read and changed by one transaction at a time. Ends, claims and requeues do not touch the rows: whether the owner
 * still holds its key follows from its state, which is read under the lock. Only a retry by hand makes an ended task
 * open again, and takes the same lock.
 *
 * Locks are taken in the order leases, unique keys in the order of queue and key, tasks in the order of their ids.
 */
import type { KeyHolder } from "../../../domain/tasks/unique-keys/unique-key.ts";
import type { UniqueRule } from "../../../domain/tasks/unique-keys/unique-rule.ts";
import { int8Array, textArray } from "../arrays.ts";
import type { Database, Runner, Statement } from "../connection/database.ts";
import { stateOf } from "../task-states.ts";

/** A unique key in its queue. */
export interface QueueKey {
  readonly queue: string;
  readonly key: string;
}

/** The same with the task that gets it. */
export interface KeyOwner extends QueueKey {
  readonly id: number;
}

// The update changes nothing; a row that exists is locked by it, and a new one by its insert.
const LOCK: Statement = {
  name: "unique-key-lock",
  text: `insert into task_key (queue, key, task_id)
    select queue, key, id from unnest($1::text[], $2::text[], $3::bigint[]) as d(queue, key, id)
     order by queue, key
    on conflict (queue, key) do update set task_id = task_key.task_id where false
    returning queue, key`,
};

// One snapshot finds a task that moves between the tables exactly once. A task that runs alone is in a class of its own.
const OWNERS: Statement = {
  name: "unique-key-owners",
  text: `select k.queue, k.key, k.task_id as id, o.state, o.rule,
           (date_part('epoch', now() - o.create_time) * 1000)::float8 as age_ms,
           case when c.alone then (
             select p.id from task_class p
              where not p.alone and p.queue = c.queue and p.type = c.type and p.labels = c.labels
                and p.resources = c.resources and p.concurrency is not distinct from c.concurrency
                and p.cost is not distinct from c.cost
                and p.rate_limits is not distinct from c.rate_limits and p.circuit is not distinct from c.circuit
                and p.fairness is not distinct from c.fairness limit 1) else c.id end as class_id
    from unnest($1::text[], $2::text[]) as d(queue, key)
    join task_key k on k.queue = d.queue and k.key = d.key
    cross join lateral (
      select t.state, t.options -> 'unique' as rule, t.create_time, t.class_id from task t where t.id = k.task_id
      union all
      select f.state, f.options -> 'unique', f.create_time, f.class_id from task_finished f where f.id = k.task_id) o
    join task_class c on c.id = o.class_id`,
};

const GIVE: Statement = {
  name: "unique-key-give",
  text: `update task_key k set task_id = d.id, create_time = now()
    from unnest($1::text[], $2::text[], $3::bigint[]) as d(queue, key, id)
   where k.queue = d.queue and k.key = d.key and k.task_id <> d.id`,
};

/**
 * Locks the rows of keys until the commit; a key without a row gets one.
 *
 * @param wanted Each key once, with the task that a new row names.
 * @returns The keys that had no row.
 */
export function lockKeys(tx: Runner, wanted: readonly KeyOwner[]): Promise<QueueKey[]> {
  return tx.run(LOCK, [...columns(wanted), int8Array(wanted.map(({ id }) => id))]);
}

/** The tasks that keys belong to. Missing are keys without a row, and those whose task's record is gone. */
export async function keyOwners(
  run: Runner["run"],
  keys: readonly QueueKey[],
): Promise<(QueueKey & { readonly owner: KeyHolder })[]> {
  interface Row extends QueueKey {
    id: number;
    state: number;
    rule: UniqueRule | null;
    age_ms: number;
    class_id: number | null;
  }
  const rows = await run<Row>(OWNERS, columns(keys));
  return rows.map(({ queue, key, id, state, rule, age_ms: ageMs, class_id: classId }) => ({
    queue,
    key,
    owner: { id, state: stateOf(state), rule: rule ?? undefined, ageMs, classId: classId ?? 0 },
  }));
}

/** The task that a key belongs to, read without a lock; undefined when there is none, or its record is gone. */
export async function keyOwner(db: Database, key: QueueKey): Promise<KeyHolder | undefined> {
  const [found] = await keyOwners((statement, values) => db.cold(statement, values), [key]);
  return found?.owner;
}

/** Gives keys, whose rows are locked, to other tasks. */
export async function giveKeys(tx: Runner, owners: readonly KeyOwner[]): Promise<void> {
  if (owners.length > 0) await tx.run(GIVE, [...columns(owners), int8Array(owners.map(({ id }) => id))]);
}

function columns(keys: readonly QueueKey[]): [Buffer | null, Buffer | null] {
  return [textArray(keys.map(({ queue }) => queue)), textArray(keys.map(({ key }) => key))];
}
