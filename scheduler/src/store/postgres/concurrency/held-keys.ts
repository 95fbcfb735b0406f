/**
 * The parts of statements that lock and count concurrency keys. All of them lock tasks first and then keys in their order,
 * so that claims and ends do not deadlock. Each key is looked up by its own index entry, however many there are: a join
 * would read the whole table when the planner expects most of it.
 */
import { STATE } from "../task-states.ts";

/** The keys of each row of `rows`, which has a `class_id`, joined as `ck`. */
function keysOf(rows: string): string {
  return `${rows} cross join lateral (
      select key, max_held from class_key where class_id = ${rows}.class_id offset 0) ck`;
}

/** The keys named in `names`, locked in their order, with what is counted of each. */
function lockedKeys(names: string): string {
  return `(select distinct key from ${names} order by key) n
     cross join lateral (
       select key, held, limit_override from concurrency_key where key = n.key for no key update) k`;
}

/**
 * CTEs that admit tasks: `admitted` has the ids of the tasks in `asking` that every one of their keys admits. A key admits
 * as many as its limit allows beside those that hold it, in the order of `ord`; a task that another of its keys turns
 * back counts, too, so that a limit is never exceeded. `asked` and `locked` have the tasks' keys and what is counted.
 *
 * @param asking A CTE with the columns id, class_id and ord, whose tasks are locked.
 */
export function admitByKeys(asking: string): string {
  return `asked as materialized (select ${asking}.id, ${asking}.ord, ck.key, ck.max_held from ${keysOf(asking)}),
  locked as materialized (select k.key, k.held, k.limit_override from ${lockedKeys("asked")}),
  admitted as materialized (
    select id from (
      select a.id, locked.held + row_number() over (partition by a.key order by a.ord, a.id)
                     <= coalesce(locked.limit_override, a.max_held) as fits
        from asked a join locked using (key)) each
     group by id having bool_and(fits))`;
}

/** CTEs that count the keys of the tasks in `taken`, which came out of `asked`; `counts` has the number of each key. */
export function countKeys(taken: string): string {
  return `counts as materialized (
    select asked.key, count(*)::int as n from ${taken} join asked using (id) group by asked.key),
  counted as (
    update concurrency_key k set held = k.held + counts.n from counts where k.key = counts.key)`;
}

/** CTEs that free the keys of the rows of `ended`, which has the class that each of them had. */
export function freeKeys(ended: string): string {
  return `freed_keys as materialized (
    select ck.key, count(*)::int as n from ${keysOf(ended)} group by ck.key),
  locked as materialized (select k.key from ${lockedKeys("freed_keys")}),
  uncounted as (
    update concurrency_key k set held = greatest(0, k.held - f.n)
      from freed_keys f join locked using (key) where k.key = f.key)`;
}

/** Locks the keys of these tasks, in one statement of a transaction that ends them in several. */
export const LOCK_KEYS = {
  name: "concurrency-lock",
  text: `with named as materialized (
    select distinct ck.key from unnest($1::int[]) as c(class_id) join class_key ck using (class_id))
  select k.key from ${lockedKeys("named")}`,
};

/** True in a query on tasks `t` for those that hold a key. */
export const IS_KEYED = "exists (select from class_key ck where ck.class_id = t.class_id)";

/** A task that waits to be assigned. */
export const IS_READY = `t.state = ${STATE.queued} and t.wake_time is null`;
