-- While a circuit is closed, each transaction counts the tasks that hold it and their successes in a row that no other one has
-- locked, so that claims and ends do not wait for each other's commit. With one row a circuit, batches of 1,000 tasks with 10
-- circuits were committed one after the other: 0.19 to 0.6 of the rate without circuits.
create table circuit_share (
  key       text not null,
  share     smallint not null,
  -- What is added to `held` of the concurrency key of the circuit: less than 0 when more was freed here than taken.
  held      int not null default 0,
  -- Successes that the record of the circuit does not have yet: moments, the oldest first, and how many from each on.
  starts    double precision[] not null default '{}',
  succeeded int[] not null default '{}',
  primary key (key, share),
  constraint circuit_share_counts check (cardinality(starts) = cardinality(succeeded))
) with (
  fillfactor = 50,
  autovacuum_vacuum_scale_factor = 0.02,
  autovacuum_vacuum_threshold = 1000,
  autovacuum_vacuum_cost_delay = 0
);

-- Whoever counts in a share holds this lock shared, and whoever counts failures or changes the state holds it alone: it has
-- all that was counted before, and nothing starts meanwhile. Row locks would let those who share it pass those who wait.
create function circuit_lock_id(circuit text) returns bigint
language sql immutable as $$ select hashtextextended('muster circuit ' || circuit, 0) $$;

-- Locks these circuits alone, given by their concurrency keys. In the order of locks they are after tasks and before keys.
create function lock_circuits(keys text[]) returns void
language plpgsql as $$
declare lock text;
begin
  for lock in select u.key from unnest(keys) as u(key) where starts_with(u.key, e'\x01') order by u.key loop
    perform pg_advisory_xact_lock(muster.circuit_lock_id(substr(lock, 10)));
  end loop;
end $$;

-- Adds to the shares of those circuits among these keys that have no limit, and answers which these are.
create function count_in_shares(keys text[], changes integer[]) returns text[]
language plpgsql as $$
declare
  counted record;
  unlimited text[];
begin
  for counted in select u.key from unnest(keys) as u(key) where starts_with(u.key, e'\x01') order by u.key loop
    perform pg_advisory_xact_lock_shared(muster.circuit_lock_id(substr(counted.key, 10)));
  end loop;
  -- The limits cannot change any more.
  for counted in
    select k.key, substr(k.key, 10) as circuit, u.change
      from (select u.key, u.change from unnest(keys, changes) as u(key, change)
             where starts_with(u.key, e'\x01') order by u.key) u
     cross join lateral (
       select c.key from muster.concurrency_key c where c.key = u.key and c.limit_override is null) k
  loop
    update muster.circuit_share s set held = s.held + counted.change
     where s.key = counted.circuit
       and s.share = (select f.share from muster.circuit_share f where f.key = counted.circuit
                       order by f.share limit 1 for no key update skip locked);
    -- There are as many shares as transactions were under way at once. Two that insert one mostly differ in its number.
    if not found then
      insert into muster.circuit_share as s (key, share, held)
      values (counted.circuit, floor(random() * 32768)::int, counted.change)
      on conflict (key, share) do update set held = s.held + excluded.held;
    end if;
    unlimited := unlimited || counted.key;
  end loop;
  return unlimited;
end $$;

-- Adds to what is counted of these keys, in their order, which prevents deadlocks: nested loops keep it. The answer has what
-- is counted afterwards; an override of -1 is none. Of a circuit without a limit it is 0, and not read.
create or replace function count_concurrency_keys(keys text[], changes integer[], out held integer[], out overrides integer[])
language plpgsql
set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off as $$
declare in_shares text[];
begin
  if keys is null then return; end if;
  if strpos(array_to_string(keys, ''), e'\x01') = 0 then
    with counted as (
      update muster.concurrency_key c set held = greatest(0, c.held + w.change)
        from (select u.key, u.change from unnest(keys, changes) as u(key, change) order by u.key) w
       where c.key = w.key
      returning c.key, c.held, coalesce(c.limit_override, -1) as override)
    select array_agg(counted.held order by counted.key), array_agg(counted.override order by counted.key)
      into held, overrides from counted;
  else
    in_shares := coalesce(muster.count_in_shares(keys, changes), '{}');
    with counted as (
      update muster.concurrency_key c set held = greatest(0, c.held + w.change)
        from (select u.key, u.change from unnest(keys, changes) as u(key, change)
               where u.key <> all(in_shares) order by u.key) w
       where c.key = w.key
      returning c.key, coalesce(c.limit_override, -1) as override, c.held + case when starts_with(c.key, e'\x01') then (
        select coalesce(sum(s.held), 0) from muster.circuit_share s where s.key = substr(c.key, 10)) else 0 end as held),
    answer as (
      select counted.key, counted.held, counted.override from counted
      union all
      select u.key, 0, -1 from unnest(in_shares) as u(key))
    select array_agg(answer.held order by answer.key), array_agg(answer.override order by answer.key)
      into held, overrides from answer;
  end if;
  if cardinality(held) is distinct from cardinality(keys) then
    raise exception 'of % concurrency keys % have a row', cardinality(keys), coalesce(cardinality(held), 0);
  end if;
end $$;

-- True when the circuit is closed and so many successes cannot open it: they can while failures are counted, by the least
-- number of results, or because older successes have left the window. Failures are in the record. `rule` is that of the
-- successes: another one than the last has to be noted.
create function circuit_stays_closed(circuit text, successes integer, rule jsonb) returns boolean
language plpgsql stable as $$
declare
  found_rule jsonb;
  counts jsonb;
  since float8 := floor(extract(epoch from clock_timestamp()) * 1000) - (rule ->> 'windowMs')::float8;
  failures bigint;
  others bigint;
begin
  select c.record -> 'rule', c.record -> 'counts' into found_rule, counts
    from muster.circuit c where c.key = circuit and c.state = 0;
  if found_rule is distinct from rule then return false; end if;
  select coalesce(sum((p ->> 1)::bigint), 0), coalesce(sum((p ->> 2)::bigint), 0) into others, failures
    from jsonb_array_elements(counts) as p where (p ->> 0)::float8 > since;
  if failures = 0 then return true; end if;
  select others + coalesce(sum(u.n), 0) into others
    from muster.circuit_share s cross join lateral unnest(s.starts, s.succeeded) as u(start, n)
   where s.key = circuit and u.start > since;
  return failures::float8 / (failures + others + successes) < (rule ->> 'failureRate')::float8;
end $$;

-- Counts successes in the shares of circuits that stay closed with them. They are locked: what `circuit_stays_closed` found
-- before the locks may have changed, and then all is tried again.
create function count_circuit_successes(circuits text[], counts integer[], rules text[]) returns void
language plpgsql
set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off as $$
declare
  now_ms float8;
  window_ms float8;
  part_ms float8;
begin
  if circuits is null then return; end if;
  for i in 1 .. cardinality(circuits) loop
    if not muster.circuit_stays_closed(circuits[i], counts[i], rules[i]::jsonb) then
      raise exception 'the circuit % has changed', circuits[i] using errcode = 'serialization_failure';
    end if;
    window_ms := (rules[i]::jsonb ->> 'windowMs')::float8;
    -- As many parts as the record has. All shares have the same ones, so that they can be added.
    part_ms := window_ms / 10;
    now_ms := floor(extract(epoch from clock_timestamp()) * 1000);
    update muster.circuit_share s set (starts, succeeded) = (
        select array_agg(p.start order by p.start), array_agg(p.n order by p.start)
          from (
            select a.start, sum(a.n)::int as n
              from (
                select u.start, u.n from unnest(s.starts, s.succeeded) as u(start, n)
                 where u.start > now_ms - window_ms
                union all
                select floor(now_ms / part_ms) * part_ms, counts[i]) a
             group by a.start) p)
     where s.key = circuits[i]
       and s.share = (select f.share from muster.circuit_share f where f.key = circuits[i]
                       order by f.share limit 1 for no key update skip locked);
    if not found then
      raise exception 'the circuit % is counted in no share', circuits[i] using errcode = 'serialization_failure';
    end if;
  end loop;
end $$;
