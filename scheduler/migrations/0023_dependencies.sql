-- Tasks that wait for other tasks. A waiting task is queued with the wake time `infinity`, so no statement that claims, wakes
-- or counts ready tasks changes. The column is null for tasks without dependencies and is written by none of the statements
-- that submit, claim or end tasks in batches.
alter table task add column links smallint;
comment on column task.links is '1: tasks depend on it, 2: it waits for tasks, 3: both';

create table task_dependency (
  -- Grows in the order in which dependencies on one task are written, because the task is locked then.
  id             bigint generated always as identity,
  predecessor_id bigint not null,
  task_id        bigint not null,
  -- False when any end of the predecessor is enough.
  success        boolean not null,
  -- The end of the predecessor that was counted; null while it has not been.
  end_state      smallint,
  end_time       timestamptz,
  primary key (task_id, predecessor_id)
);
create index task_dependency_predecessor on task_dependency (predecessor_id, id);

-- Tasks that wait for tasks: how many have not ended, and what the submit asked for after that.
create table task_wait (
  task_id       bigint primary key,
  open_count    int not null,
  delay_ms      float8,
  run_time      timestamptz,
  queue_wait_ms float8
);

-- Ends of tasks that others depend on, until their dependents have been released or ended, in steps.
create table dependency_end (
  id             bigint generated always as identity primary key,
  predecessor_id bigint not null,
  state          smallint not null,
  cause          jsonb not null,
  -- Dependencies of the task up to `done_id` are processed. Those after `last_id` were made when it was retried.
  done_id        bigint not null default 0,
  last_id        bigint not null
);

-- What dependents keep of the end of a task. `root` is the first end of a chain.
create function dependency_cause(f task_finished) returns jsonb language sql stable as $$
  select jsonb_strip_nulls(jsonb_build_object(
    'taskId', f.id,
    'state', case f.state when 3 then 'succeeded' when 4 then 'failed' else 'cancelled' end,
    'detail', f.detail,
    'message', left(case f.state when 4 then f.failure ->> 'message' when 5 then f.cancel_reason end, 500),
    'root', case when f.detail = 'DEPENDENCY_FAILED' then
      coalesce(f.options #> '{dependency,root}', (f.options -> 'dependency') - 'root') end))
$$;

-- Runs for rows with links alone, whatever statement ended the task, and in its transaction. The record of the end was
-- written by the same statement, so it is in one known partition. A task that was deleted by hand has no record.
create function task_links_ended() returns trigger language plpgsql as $$
begin
  if old.links & 2 <> 0 then
    delete from task_wait where task_id = old.id;
  end if;
  if old.links & 1 <> 0 then
    insert into dependency_end (predecessor_id, state, cause, last_id)
    select old.id, coalesce(f.state, 5),
           case when f.id is null
             then jsonb_build_object('taskId', old.id, 'state', 'cancelled', 'detail', 'DELETED', 'message', 'its row was deleted')
             else dependency_cause(f) end,
           (select coalesce(max(d.id), 0) from task_dependency d where d.predecessor_id = old.id)
      from (select 1) one left join task_finished f on f.id = old.id and f.finish_time = now();
    perform pg_notify('muster', '{"kind":"ends"}');
  end if;
  return null;
end
$$;
create trigger task_links_ended after delete on task for each row when (old.links is not null)
  execute function task_links_ended();
