-- A scheduler's role needs no more than to read and write rows: what makes and drops tables runs as their owner. Who
-- may delete ended tasks by hand may have them dropped by age. `role` is what SET ROLE said, also within a function
-- that runs as its owner.
create function require_privilege(tbl text, privilege text) returns void language plpgsql as $$
declare
  caller text := coalesce(nullif(current_setting('role'), 'none'), session_user);
begin
  if not has_table_privilege(caller, tbl, privilege) then
    raise insufficient_privilege using message = format('permission denied: %s needs %s on %s', caller, privilege, tbl);
  end if;
end
$$;

-- Makes one daily partition. Rows that landed in the default one meanwhile (the clock jumped, partitions were dropped
-- by hand) are moved into it: without that PostgreSQL refuses to make it.
create function make_partition(parent text, day date) returns void language plpgsql as $$
declare
  child text := parent || '_' || to_char(day, 'YYYYMMDD');
  key text := case parent when 'task_finished' then 'finish_time' when 'task_attempt' then 'end_time' else 'time' end;
  low text := to_char(day, 'YYYY-MM-DD') || ' 00:00:00+00';
  high text := to_char(day + 1, 'YYYY-MM-DD') || ' 00:00:00+00';
  names text;
begin
  begin
    execute format('create table %I partition of %I for values from (%L) to (%L)', child, parent, low, high);
    return;
  exception when check_violation then
    null;
  end;
  execute format('lock table %I in access exclusive mode', parent || '_default');
  execute format('create table %I (like %I including defaults including constraints including generated including storage)', child, parent);
  select string_agg(quote_ident(attname), ', ' order by attnum) into names
    from pg_attribute
   where attrelid = parent::regclass and attnum > 0 and not attisdropped and attgenerated = '';
  execute format(
    'with moved as (delete from only %1$I where %2$I >= %3$L and %2$I < %4$L returning %5$s) insert into %6$I (%5$s) select %5$s from moved',
    parent || '_default', key, low, high, names, child);
  execute format('alter table %I attach partition %I for values from (%L) to (%L)', parent, child, low, high);
end
$$;
revoke execute on function make_partition(text, date) from public;

-- Makes the daily partitions from yesterday to `ahead` days from now (UTC days); harmless when they exist.
create or replace function ensure_partitions(ahead int) returns void
  language plpgsql security definer set search_path = muster, pg_temp as $$
declare
  parent text;
  day date;
begin
  perform require_privilege('task_finished', 'INSERT');
  foreach parent in array array['task_finished', 'task_attempt', 'event', 'task_output'] loop
    for day in select generate_series((now() at time zone 'utc')::date - 1, (now() at time zone 'utc')::date + least(ahead, 60), '1 day')::date loop
      if to_regclass(format('%I', parent || '_' || to_char(day, 'YYYYMMDD'))) is null then
        perform make_partition(parent, day);
      end if;
    end loop;
  end loop;
end
$$;

-- Drops partitions whose day ended more than `keep_days` days ago, and as old rows of the default partitions;
-- returns how many partitions.
create or replace function drop_partitions(keep_days int) returns int
  language plpgsql security definer set search_path = muster, pg_temp as $$
declare
  child record;
  dropped int := 0;
  oldest timestamptz := ((now() at time zone 'utc')::date - keep_days - 1)::timestamp at time zone 'utc';
begin
  perform require_privilege('task_finished', 'DELETE');
  for child in
    select c.relname
      from pg_inherits i
      join pg_class c on c.oid = i.inhrelid
      join pg_class p on p.oid = i.inhparent
     where p.relnamespace = 'muster'::regnamespace
       and p.relname in ('task_finished', 'task_attempt', 'event', 'task_output')
       and c.relname ~ '_[0-9]{8}$'
       and to_date(right(c.relname, 8), 'YYYYMMDD') < (now() at time zone 'utc')::date - keep_days - 1
  loop
    execute format('drop table %I', child.relname);
    dropped := dropped + 1;
  end loop;
  delete from only task_finished_default where finish_time < oldest;
  delete from only task_attempt_default where end_time < oldest;
  delete from only event_default where time < oldest;
  delete from only task_output_default where time < oldest;
  return dropped;
end
$$;

-- The databases that this one has been: a dump that is restored elsewhere, and a recovery to an earlier time, begin
-- another one, in which ids must not repeat what the old one gave out since.
create table incarnation (
  id            int generated always as identity primary key,
  identity      text not null,
  begin_time    timestamptz not null default now(),
  -- Ids that were given out in it are larger.
  after_id      bigint not null
);

-- Begins an incarnation when `identity` is not the last one's, with ids far beyond those of the old one, which may go on
-- giving out its own; returns the number that they are larger than, null when the incarnation is the same. Steps are a
-- thousand million, of which one to a thousand are taken at random: two copies of one backup differ too, and there is
-- room for ten thousand below 2^53.
create function begin_incarnation(identity text) returns bigint
  language plpgsql security definer set search_path = muster, pg_temp as $$
declare
  known text;
  beyond bigint;
begin
  perform require_privilege('task', 'INSERT');
  lock table incarnation in share row exclusive mode;
  select i.identity into known from incarnation i order by i.id desc limit 1;
  if known is null then
    insert into incarnation (identity, after_id) values (begin_incarnation.identity, 0);
    return null;
  end if;
  if known = begin_incarnation.identity then
    return null;
  end if;
  select (greatest(t.last_value, e.last_value, w.last_value) / 1000000000 + 1 + floor(random() * 1000)::bigint) * 1000000000
    into beyond
    from task_id_seq t, event_id_seq e, worker_session_id_seq w;
  perform setval('task_id_seq', beyond), setval('event_id_seq', beyond), setval('worker_session_id_seq', beyond);
  insert into incarnation (identity, after_id) values (begin_incarnation.identity, beyond);
  return beyond;
end
$$;
