/**
 * The parts of statements that count concurrency keys. All of them lock tasks first and then keys in their order, so that
 * claims and ends do not deadlock. Each key is looked up by its own index entry, however many there are: a join would read
 * the whole table when the planner expects most of it. CTEs are not joined with each other: the planner expects a row or
 * two of each, and compares every pair. A claim of 904 tasks with as many keys took 1,550 ms so, 5 times 816,000 pairs.
 */
import { STATE } from "../task-states.ts";

/** The keys of the class of each row of `rows`, which is named `r`; joined as `ck`. */
function keysOf(rows: string, further = ""): string {
  return `${rows} r cross join lateral (
      select key, max_held${further} from class_key where class_id = r.class_id offset 0) ck`;
}

/** Changes what is counted of each key of `rows`, which has the columns key and change; a row with what is counted then. */
function counting(rows: string): string {
  return `(select array_agg(key order by key) as keys, array_agg(change order by key) as changes from ${rows}) w
     cross join lateral count_concurrency_keys(w.keys, w.changes) k`;
}

/** The tasks of `asked` by key: how many there are, and the least of their limits. */
const BY_KEY = `(
        select array_agg(key order by key) as keys, array_agg(change order by key) as changes,
               array_agg(least order by key) as leasts
          from (select key, count(*)::int as change, min(max_held) as least from asked group by key) n) w`;

/** Counts all that `asked` has, and finds out whether that is more than the limit of a key. */
const COUNTED = `counted as materialized (
    select w.keys, w.leasts, k.held, k.overrides, exists (
             select from unnest(k.held, k.overrides, w.leasts) as u(held, override, least)
              where u.held > coalesce(nullif(u.override, -1), u.least)) as is_over
      from ${BY_KEY}
     cross join lateral count_concurrency_keys(w.keys, w.changes) k)`;

/** The keys of `counted` that admit no more, with what is counted of them. */
const FULL = `select u.key, u.held, nullif(u.override, -1) as override, true as is_full
          from counted, unnest(counted.keys, counted.held, counted.overrides, counted.leasts) as u(key, held, override, least)
         where u.held >= coalesce(nullif(u.override, -1), u.least)`;

/**
 * CTEs that count the keys of the tasks in `claimed`, which are assigned already, with the columns key and max_held. The
 * statement fails with a conflict when that is more than the limit of a key; it has to read `key_states`, the keys that admit
 * no more.
 */
export function countClaimed(claimed: string): string {
  return `asked as (select key, max_held from ${claimed}),
  counted as materialized (
    select w.keys, w.leasts, k.held, k.overrides
      from ${BY_KEY}
     cross join lateral count_within_limits(w.keys, w.changes, w.leasts) k),
  key_states as materialized (${FULL})`;
}

/**
 * CTEs that admit tasks: `admitted` has the tasks of `asking` that every one of their keys admits, and those without keys. A
 * key admits as many as its limit allows beside those that hold it, in the order of `ord`; a task that another of its keys
 * turns back counts, too, so that a limit is never exceeded. All that ask are counted at once, because a row that is locked
 * first and changed later costs two looks; `uncountRefused` takes those back that were not taken. The places of the tasks are
 * computed only when they matter.
 *
 * @param asking A CTE with the columns id, class_id, session_id and ord, whose tasks are locked, and with key and max_held:
 * the only key of the class where that is known, or null.
 */
export function admitByKeys(asking: string): string {
  return `asked as materialized (
    select id, ord, key, max_held from ${asking} where key is not null
    union all
    select r.id, r.ord, ck.key, ck.max_held from ${keysOf(`(select * from ${asking} where key is null)`)}),
  ${COUNTED},
  unfit as materialized (
    select e.id
      from counted, (
        select id, max_held, dense_rank() over (order by key) as key_place,
               row_number() over (partition by key order by ord, id) as place,
               count(*) over (partition by key) as asking
          from asked) e
     where (select is_over from counted)
       and counted.held[e.key_place] - e.asking + e.place
             > coalesce(nullif(counted.overrides[e.key_place], -1), e.max_held)),
  admitted as materialized (
    select * from ${asking} where not (select is_over from counted) or id not in (select id from unfit))`;
}

/**
 * As `admitByKeys`; a key with a strict order admits no task but the oldest that waits for it, which `fronts` has. That is
 * read when the keys are counted, and so locked: whatever puts a task of the keys back has committed by then, or waits for
 * this statement. `turns` is apart, so that the sort behind it does not copy the fronts of all keys with every row.
 */
export function admitInOrder(asking: string): string {
  return `asked as materialized (
    select r.id, r.ord, ck.key, ck.max_held, ck.strict from ${keysOf(asking, ", strict")}),
  ${COUNTED},
  fronts as materialized (
    select w.keys, order_fronts(w.keys) as fronts
      from counted, (
        select array_agg(case when n.strict then n.key end order by n.key) as keys
          from (select key, bool_or(strict) as strict from asked group by key) n) w),
  turns as materialized (
    select a.*, not strict or id is not distinct from (fronts.fronts[key_place] -> 0 ->> 0)::bigint as in_turn,
           counted.held[key_place] as held, nullif(counted.overrides[key_place], -1) as override
      from fronts, counted, (
        select *, dense_rank() over (order by key) as key_place, count(*) over (partition by key) as asking
          from asked) a),
  unfit as materialized (
    select id from (
      select id, in_turn and held - asking + row_number() over (partition by key order by in_turn desc, ord, id)
               <= coalesce(override, max_held) as fits
        from turns) e
     where not fits),
  admitted as materialized (
    select * from ${asking} where id not in (select id from unfit))`;
}

/** The fronts of `admitInOrder` for the answer of the claim. */
export const ORDER_FRONTS = `(
      select json_agg(json_build_array(u.key, u.front)) from fronts, unnest(fronts.keys, fronts.fronts) as u(key, front)
       where u.key is not null)`;

/**
 * CTEs that take the tasks back that were counted by `admitByKeys` and are not in `taken`. The statement has to read
 * `refused`, one row, and must not join it with what may have no row: then it may not be computed. `key_states` has what is
 * counted then of the keys that admit no more, or did not before.
 */
export function uncountRefused(taken: string): string {
  return `given_back as materialized (
    select key, -count(*)::int as change from asked where id not in (select id from ${taken}) group by key),
  key_states as materialized (
    select key, sum(held) as held, max(override) as override
      from (
        ${FULL}
        union all
        select key, change, null, false from given_back) s
     group by key having bool_or(is_full)),
  refused as materialized (select from ${counting("given_back")})`;
}

/**
 * CTEs that free the keys of the rows of `ended`, which has the class that each of them had, and the only key of that class
 * where it is known. The statement has to read `freed_keys`, one row.
 */
export function freeKeys(ended: string): string {
  return `freed_keys as materialized (
    select from ${counting(`(
      select key, -count(*)::int as change from (
        select key from ${ended} where key is not null
        union all
        select ck.key from ${keysOf(`(select class_id from ${ended} where key is null)`)}) k
       group by key) n`)})`;
}

/**
 * CTE `locked` that locks the keys in the column `key` of `named`, circuits before the others. The statement has to read it.
 */
export function lockKeys(named: string): string {
  return `circuits as materialized (select lock_circuits(array_agg(key)) from ${named}),
  locked as materialized (
    select k.key from (select distinct key from ${named} order by key) n cross join lateral (
      select key from concurrency_key where key = n.key and (select count(*) from circuits) = 1 for no key update) k)`;
}

/** Locks the keys of these tasks, in one statement of a transaction that ends them in several. */
export const LOCK_KEYS = {
  name: "concurrency-lock",
  text: `with named as materialized (
    select distinct ck.key from unnest($1::int[]) as c(class_id) join class_key ck using (class_id)),
  ${lockKeys("named")}
  select key from locked`,
};

/** How many tasks hold the key of a row `k` of concurrency_key; those of a circuit are counted in its shares, too. */
export const HELD = `(k.held + case when starts_with(k.key, e'\\x01')
      then (select coalesce(sum(s.held), 0)::int from circuit_share s where s.key = substr(k.key, 10)) else 0 end)`;

/** True in a query on tasks `t` for those that hold a key. */
export const IS_KEYED = "exists (select from class_key ck where ck.class_id = t.class_id)";

/** A task that waits to be assigned. */
export const IS_READY = `t.state = ${STATE.queued} and t.wake_time is null`;
