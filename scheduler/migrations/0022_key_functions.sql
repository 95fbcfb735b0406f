-- The claim and the end of tasks count in rows that many transactions change at the same time. A row that another one changed
-- meanwhile makes PostgreSQL set up all parts of the statement again, which takes 100 us for the statement of a claim. The
-- statements of these functions are small, and see what was committed while they waited for the row before.

-- Adds to what is counted of these keys, in their order, which prevents deadlocks: nested loops keep it. The answer has what
-- is counted afterwards; an override of -1 is none.
create function count_concurrency_keys(keys text[], changes integer[], out held integer[], out overrides integer[])
language plpgsql
set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off as $$
begin
  if keys is null then return; end if;
  with counted as (
    update muster.concurrency_key c set held = greatest(0, c.held + w.change)
      from (select u.key, u.change from unnest(keys, changes) as u(key, change) order by u.key) w
     where c.key = w.key
    returning c.key, c.held, coalesce(c.limit_override, -1) as override)
  select array_agg(counted.held order by counted.key), array_agg(counted.override order by counted.key)
    into held, overrides from counted;
  if cardinality(held) is distinct from cardinality(keys) then
    raise exception 'of % concurrency keys % have a row', cardinality(keys), coalesce(cardinality(held), 0);
  end if;
end $$;

-- Locks the buckets of a key.
create function lock_rate_buckets(wanted text) returns setof rate_bucket
language plpgsql rows 1 as $$
begin
  return query select b.* from muster.rate_bucket b where b.key = wanted
    order by b.overrides, b.limit_count, b.period_ms, b.burst for no key update;
end $$;
