/** Reads what is counted of concurrency keys, sets their limits, and compares the counts with the tasks. */
import type { KeyState } from "../../../domain/tasks/limits/concurrency.ts";
import type { ConcurrencyStore, KeyDifference } from "../../store.ts";
import { textArray } from "../arrays.ts";
import type { Database, Statement } from "../connection/database.ts";
import { ACTIVE } from "../task-states.ts";
import { HELD, lockKeys } from "./held-keys.ts";
import { dropUnusedKeys } from "./idle-classes.ts";

// Without statistics the planner expects an operator's limit of most keys: its plan is pinned.
const STATES: Statement = {
  name: "concurrency-states",
  text: `select k.key, ${HELD} as held, k.limit_override from unnest($1::text[]) as d(key)
      cross join lateral (select key, held, limit_override from concurrency_key where key = d.key) k
    union
    select key, ${HELD}, limit_override from concurrency_key k where limit_override is not null`,
};

const SET_LIMIT: Statement = {
  name: "concurrency-set-limit",
  text: `with k as (
    insert into concurrency_key (key, limit_override, limit_reason, limit_time)
    values ($1, $2, $3, case when $2::int is null then null else now() end)
    on conflict (key) do update
       set limit_override = excluded.limit_override, limit_reason = excluded.limit_reason, limit_time = excluded.limit_time
    returning key),
  e as (
    insert into event (name, attributes)
    select case when $2::int is null then 'concurrency_limit.unset' else 'concurrency_limit.set' end,
           jsonb_strip_nulls(jsonb_build_object('key', key, 'limit', $2::int::text, 'reason', $3::text))
      from k)
  select pg_notify('muster', '{"kind":"queue"}') from k`,
};

// Both sides are of one snapshot, and every transaction changes both: a difference is one that is committed.
const DIFFERENCES: Statement = {
  name: "concurrency-differences",
  text: `with counted as (
    select ck.key, count(*)::int as n from task t join class_key ck using (class_id)
     where t.state in ${ACTIVE} group by ck.key)
  select key, coalesce(k.held, 0) as held, coalesce(counted.n, 0) as tasks
    from (select key, ${HELD} as held from concurrency_key k where held > 0 or starts_with(key, e'\\x01')) k
    full join counted using (key)
   where coalesce(k.held, 0) <> coalesce(counted.n, 0)
   order by key limit $1`,
};

const LOCK: Statement = {
  name: "concurrency-lock-one",
  text: `with named as materialized (select $1::text as key), ${lockKeys("named")} select key from locked`,
};

// What waits for the lock of the key is not committed: this snapshot has both as they were before it.
const CORRECT: Statement = {
  name: "concurrency-correct",
  text: `with counted as (
    select count(*)::int as n from class_key ck join task t using (class_id)
     where ck.key = $1 and t.state in ${ACTIVE}),
  old as (select key, ${HELD} as held from concurrency_key k where key = $1),
  shares as (
    update circuit_share s set held = 0 from old, counted
     where starts_with(old.key, e'\\x01') and s.key = substr(old.key, 10) and old.held <> counted.n)
  update concurrency_key k set held = counted.n from counted, old
   where k.key = old.key and old.held <> counted.n
  returning old.held, counted.n as tasks`,
};

/** What is counted of these keys, and of every key with a limit of the operator's. */
export async function keyStates(db: Database, keys: readonly string[]): Promise<KeyState[]> {
  const rows = await db.hotRetrying<{ key: string; held: number; limit_override: number | null }>(STATES, [
    textArray(keys),
  ]);
  return rows.map(({ key, held, limit_override }) => ({ key, held, override: limit_override ?? undefined }));
}

/** Sets the limit of a key, or takes it back; other schedulers get a hint. */
export async function setKeyLimit(
  db: Database,
  key: string,
  limit: Parameters<ConcurrencyStore["setKeyLimit"]>[1],
): Promise<void> {
  const values = [key, limit?.limit ?? null, limit?.reason ?? null];
  if (limit) await db.cold(SET_LIMIT, values);
  else
    await db.transaction(async (tx) => {
      await tx.run(SET_LIMIT, values);
      await dropUnusedKeys(tx, [key]);
    });
}

/** Keys whose count differs from their tasks in one snapshot. */
export function keyDifferences(db: Database, limit: number): Promise<KeyDifference[]> {
  return db.cold<{ key: string; held: number; tasks: number }>(DIFFERENCES, [limit]);
}

/** Counts a key again while its row is locked, and corrects it. */
export async function correctKey(db: Database, key: string): Promise<KeyDifference | undefined> {
  const [row] = await db.transaction(async (tx) => {
    await tx.run(LOCK, [key]);
    return tx.run<{ held: number; tasks: number }>(CORRECT, [key]);
  });
  return row && { key, ...row };
}
