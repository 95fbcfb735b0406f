-- What handlers log, some lines in a row: written in batches, never updated, dropped by age. An attempt has at most some
-- MB of them. `lines` is the text of a JSON array of [sequence, age in ms at `time`, level, message, fields].
create table task_log (
  task_id        bigint not null,
  epoch          int not null,
  first_sequence bigint not null,
  last_sequence  bigint not null,
  -- The attempt has no further lines; the number of the row's end is then in last_sequence.
  complete       boolean not null default false,
  time           timestamptz not null default now(),
  lines          text not null
) partition by range (time);
create index task_log_position on task_log (task_id, epoch, last_sequence);
create table task_log_default partition of task_log default;

create or replace function ensure_partitions(ahead int) returns void
  language plpgsql security definer set search_path = muster, pg_temp as $$
declare
  parent text;
  child text;
  day date;
begin
  perform require_privilege('task_finished', 'INSERT');
  foreach parent in array array['task_finished', 'task_attempt', 'event', 'task_output', 'task_log'] loop
    for day in select generate_series((now() at time zone 'utc')::date - 1, (now() at time zone 'utc')::date + least(ahead, 60), '1 day')::date loop
      child := parent || '_' || to_char(day, 'YYYYMMDD');
      if to_regclass(format('%I', child)) is null then
        perform make_partition(parent, day);
        if parent = 'task_finished' then
          perform estimate_tags(child);
        end if;
      end if;
    end loop;
  end loop;
end
$$;

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
       and p.relname in ('task_finished', 'task_attempt', 'event', 'task_output', 'task_log')
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
  delete from only task_log_default where time < oldest;
  return dropped;
end
$$;

select ensure_partitions(7);
