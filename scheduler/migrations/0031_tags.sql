-- Tags of tasks, in their options. The tasks without tags are not in the indexes, and no statement of the hot path changes the
-- options, so its updates stay in place. Pending entries are few: an insert that finds the list full moves them.
create index task_tags on task using gin ((options -> 'tags') jsonb_path_ops) with (gin_pending_list_limit = 256)
  where options ? 'tags';
create index task_finished_tags on task_finished using gin ((options -> 'tags') jsonb_path_ops)
  with (gin_pending_list_limit = 256) where options ? 'tags';

-- How common each tag is. The planner uses the statistics of a partial index for no estimate: it would expect 1 % of the tasks
-- for every tag, and look for a rare one through all of them.
create function estimate_tags(tbl text) returns void language plpgsql as $$
begin
  execute format('create statistics %I on (options -> ''tags'') from %I', tbl || '_tag_counts', tbl);
end
$$;
revoke execute on function estimate_tags(text) from public;
select estimate_tags('task');
select estimate_tags(inhrelid::regclass::text) from pg_inherits where inhparent = 'task_finished'::regclass;

create or replace function ensure_partitions(ahead int) returns void
  language plpgsql security definer set search_path = muster, pg_temp as $$
declare
  parent text;
  child text;
  day date;
begin
  perform require_privilege('task_finished', 'INSERT');
  foreach parent in array array['task_finished', 'task_attempt', 'event', 'task_output'] loop
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
