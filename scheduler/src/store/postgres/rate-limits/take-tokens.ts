/**
 * The parts of statements that lock token buckets and take tokens. The rows are locked after tasks and concurrency keys,
 * in the order of their primary key. Time is read after the lock: each statement continues where the one before it that
 * held the lock ended.
 */

/** Sums of fractions of microseconds may fall short of a whole token by this. */
const ROUNDING = "1e-6";

/** SQL for the key of a queue's bucket; see `queueRateKey`. */
export function queueKey(queue: string): string {
  return `'queue' || chr(10) || ${queue}`;
}

/** A row for each bucket of the keys of `keys`, locked, with the time at which it was locked. */
function lockedBuckets(keys: string): string {
  return `select b.*, clock_timestamp() as at
      from (select distinct key from ${keys} order by key) n
     cross join lateral (
       select key, overrides, limit_count, period_ms, burst, full_time, pause_until
         from rate_bucket where key = n.key
        order by overrides, limit_count, period_ms, burst for no key update) b`;
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
 * CTEs that admit tasks: `paying` has the ids of the tasks in `asking` that may start, `short` those of the others. A bucket
 * admits as many as it has tokens, in the order of `ord`; a task that another of its buckets turns back counts, too, so
 * that no rate is exceeded. A key that is paused has no tokens, and one with an operator's rate asks only the bucket of that, and a queue has no other. `priced` and `buckets` have the
 * tasks' keys and the buckets.
 *
 * @param asking A CTE with the columns id, class_id and ord, whose tasks are locked.
 */
export function admitByRates(asking: string): string {
  return `queue_keys as materialized (
    select c.id as class_id, b.key from task_class c join rate_bucket b on b.key = ${queueKey("c.queue")} and b.overrides
     where c.id in (select class_id from ${asking})),
  priced as materialized (
    select ${asking}.id, ${asking}.ord, r.key, r.limit_count, r.period_ms, r.burst
      from ${asking} cross join lateral (
        select key, limit_count, period_ms, burst from class_rate where class_id = ${asking}.class_id offset 0) r
    union all
    select ${asking}.id, ${asking}.ord, q.key, null, null, null from ${asking} join queue_keys q using (class_id)),
  bucket_rows as materialized (${lockedBuckets("priced")}),
  buckets as materialized (
    select *, case when pause_until > at then 0 else ${TOKENS} end as tokens from (select b.*, ${debtColumns("b.at")} from bucket_rows b) b),
  short as materialized (
    select id from (
      select p.id, row_number() over (partition by p.key order by p.ord, p.id)
                     <= coalesce(o.tokens, own.tokens, p.burst) as fits
        from priced p
        left join buckets o on o.key = p.key and o.overrides
        left join buckets own on own.key = p.key and not own.overrides and own.limit_count = p.limit_count
                             and own.period_ms = p.period_ms and own.burst = p.burst) each
     group by id having not bool_and(fits)),
  paying as materialized (select id from ${asking} where id not in (select id from short))`;
}

/**
 * CTEs that take a token from every bucket of each key of the tasks in `taken`, which came out of `priced`; `spent` has the
 * number of each key. A debt beyond an empty bucket comes from a clock that was set back: it is cut.
 */
export function takeTokens(taken: string): string {
  return `spent as materialized (
    select priced.key, count(*)::int as n from ${taken} join priced using (id) group by priced.key),
  charged as (
    update rate_bucket b
       set full_time = x.at + ceil(least(x.burst * x.interval_us, x.debt_us + coalesce(spent.n, 0) * x.interval_us))
                              * interval '1 microsecond'
      from buckets x left join spent using (key)
     where b.key = x.key and b.overrides = x.overrides and b.limit_count = x.limit_count
       and b.period_ms = x.period_ms and b.burst = x.burst
       and (spent.n > 0 or x.full_time > x.at + ceil(x.burst * x.interval_us) * interval '1 microsecond'))`;
}

/** The buckets after `takeTokens` as JSON: key, whether it overrides, limit, period, burst, debt, and the rest of a pause; times in ms. */
export const BUCKET_STATES = `(select json_agg(json_build_array(x.key, x.overrides, x.limit_count, x.period_ms, x.burst,
      least(x.burst * x.interval_us, x.debt_us + coalesce(spent.n, 0) * x.interval_us) / 1000,
      greatest(0, extract(epoch from x.pause_until - x.at)::float8 * 1000)))
    from buckets x left join spent using (key))`;
