/**
 * The parts of statements that lock token buckets and take tokens. The rows are locked after tasks and concurrency keys,
 * in the order of their primary key. Time is read after the lock: each statement continues where the one before it that
 * held the lock ended. CTEs are not joined with each other, as in held-keys.ts.
 */

/** Sums of fractions of microseconds may fall short of a whole token by this. */
const ROUNDING = "1e-6";

/** SQL for the key of a queue's bucket; see `queueRateKey`. */
export function queueKey(queue: string): string {
  return `'queue' || chr(10) || ${queue}`;
}

/** The columns that follow from a bucket's row `b` at the moment `at`: microseconds from one token to the next, and debt. */
export function debtColumns(at: string): string {
  return `b.period_ms * 1000::float8 / b.limit_count as interval_us,
      least(b.burst * (b.period_ms * 1000::float8 / b.limit_count),
        greatest(0, coalesce(extract(epoch from b.full_time - ${at})::float8 * 1e6, 0))) as debt_us`;
}

/** Whole tokens of a row with `burst`, `debt_us` and `interval_us`. */
export const TOKENS = `greatest(0, floor(burst - debt_us / interval_us + ${ROUNDING}))::int`;

/**
 * CTEs that admit tasks: `paying` has the tasks of `asking` that may start, `short` the ids of the others. A bucket admits
 * as many as it has tokens, in the order of `ord`; a task that another of its buckets turns back counts, too, so that no
 * rate is exceeded. A key that is paused has no tokens, one with an operator's rate asks only the bucket of that, and a
 * queue has no other. `buckets` has the buckets of the tasks' keys, each with the tasks.
 *
 * @param asking A CTE with the columns id, class_id and ord, whose tasks are locked.
 */
export function admitByRates(asking: string): string {
  const inOrder = (column: string) => `array_agg(${column} order by ord, id)`;
  return `priced as materialized (
    select key, ${inOrder("id")} as ids, ${inOrder("limit_count")} as limits, ${inOrder("period_ms")} as periods,
           ${inOrder("burst")} as bursts
      from (
        select ${asking}.id, ${asking}.ord, r.key, r.limit_count, r.period_ms, r.burst
          from ${asking} cross join lateral (
            select key, limit_count, period_ms, burst from class_rate where class_id = ${asking}.class_id offset 0) r
        union all
        select ${asking}.id, ${asking}.ord, q.key, null, null, null
          from ${asking} cross join lateral (
            select b.key from task_class c join rate_bucket b on b.key = ${queueKey("c.queue")} and b.overrides
             where c.id = ${asking}.class_id offset 0) q) p
     group by key),
  bucket_rows as materialized (
    select b.key, b.overrides, b.limit_count, b.period_ms, b.burst, b.full_time, b.pause_until, clock_timestamp() as at,
           n.ids, n.limits, n.periods, n.bursts
      from (select * from priced order by key) n cross join lateral lock_rate_buckets(n.key) b),
  buckets as materialized (
    select *, case when pause_until > at then 0 else ${TOKENS} end as tokens,
           bool_or(overrides) over (partition by key) as overridden
      from (select b.*, ${debtColumns("b.at")} from bucket_rows b) b),
  short as materialized (
    select id from (
      select u.id, u.place <= coalesce(
               max(b.tokens) filter (where b.overrides or (not b.overridden and b.limit_count = u.limit_count
                                             and b.period_ms = u.period_ms and b.burst = u.burst)),
               u.burst) as fits
        from buckets b
       cross join lateral unnest(b.ids, b.limits, b.periods, b.bursts) with ordinality
                          as u(id, limit_count, period_ms, burst, place)
       group by b.key, u.id, u.place, u.burst) each_key
     where not fits),
  paying as materialized (select * from ${asking} where id not in (select id from short))`;
}

/**
 * CTEs that take a token from every bucket of each key of the tasks in `taken`, which came out of `paying`; `spent` has the
 * buckets with the number of those. A debt beyond an empty bucket comes from a clock that was set back: it is cut.
 */
export function takeTokens(taken: string): string {
  return `spent as materialized (
    select b.key, b.overrides, b.limit_count, b.period_ms, b.burst, b.full_time, b.pause_until, b.at, b.interval_us, b.debt_us,
           (count(*) filter (where u.id in (select id from ${taken})))::int as n
      from buckets b cross join lateral unnest(b.ids) as u(id)
     group by b.key, b.overrides, b.limit_count, b.period_ms, b.burst, b.full_time, b.pause_until, b.at, b.interval_us, b.debt_us),
  charged as (
    update rate_bucket b
       set full_time = x.at + ceil(least(x.burst * x.interval_us, x.debt_us + x.n * x.interval_us))
                              * interval '1 microsecond'
      from spent x
     where b.key = x.key and b.overrides = x.overrides and b.limit_count = x.limit_count
       and b.period_ms = x.period_ms and b.burst = x.burst
       and (x.n > 0 or x.full_time > x.at + ceil(x.burst * x.interval_us) * interval '1 microsecond'))`;
}

/** The buckets after `takeTokens` as JSON: key, whether it overrides, limit, period, burst, debt, and the rest of a pause; times in ms. */
export const BUCKET_STATES = `(select json_agg(json_build_array(x.key, x.overrides, x.limit_count, x.period_ms, x.burst,
      least(x.burst * x.interval_us, x.debt_us + x.n * x.interval_us) / 1000,
      greatest(0, extract(epoch from x.pause_until - x.at)::float8 * 1000)))
    from spent x)`;
