-- Everything lives in the schema `muster`, which the migrator makes and puts first in the search path.

create table queue (
  name         text primary key,
  create_time  timestamptz not null default now(),
  pause_time   timestamptz,
  pause_reason text,
  check ((pause_time is null) = (pause_reason is null))
);

-- Workers are matched with classes, not with tasks; few rows, held in memory by every scheduler.
create table task_class (
  id        int generated always as identity primary key,
  -- sha256 of queue, type and requirements: their canonical form may be too long for an index.
  key       bytea not null unique,
  queue     text not null,
  type      text not null,
  labels    jsonb not null default '{}',
  resources text[] not null default '{}'
);

create table scheduler (
  id          text primary key,
  address     text not null,
  version     text not null,
  start_time  timestamptz not null default now(),
  lease_until timestamptz not null
);

create table leader (
  name         text primary key,
  scheduler_id text not null,
  -- Fences what a leader does: it grows with every change of hands.
  term         bigint not null,
  lease_until  timestamptz not null
);

create table worker_session (
  id           bigint generated always as identity primary key,
  uuid         uuid not null unique,
  worker_id    text not null,
  scheduler_id text not null,
  hello        jsonb not null,
  phases       jsonb not null default '[]',
  ready        boolean not null default false,
  draining     boolean not null default false,
  connect_time timestamptz not null default now(),
  gone_time    timestamptz,
  gone_reason  text,
  fatal        jsonb,
  check ((gone_time is null) = (gone_reason is null))
);
create index worker_session_worker_id on worker_session (worker_id, id desc);
create index worker_session_gone_time on worker_session (gone_time) where gone_time is not null;

-- Renewed for all workers of a scheduler in one statement; apart from worker_session so that a renewal
-- rewrites a narrow row in place. A session has a row here exactly as long as it may hold attempts.
create table session_lease (
  session_id     bigint primary key references worker_session (id) on delete cascade,
  scheduler_id   text not null,
  lease_until    timestamptz not null,
  heartbeat_time timestamptz not null default now(),
  disconnected   boolean not null default false,
  heartbeat      jsonb
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- What a scheduler asks of a worker whose stream another scheduler holds.
create table command (
  id           bigint generated always as identity primary key,
  scheduler_id text not null,
  session_id   bigint not null,
  kind         text not null,
  body         jsonb not null default '{}',
  create_time  timestamptz not null default now()
);
create index command_scheduler_id on command (scheduler_id, id);

-- Open tasks. No index holds a column that claim, accept or progress change, so those updates stay in
-- place (HOT) and their dead versions are pruned without vacuum. Measured on two cores with batches of
-- 500, durable commits: 93,900 tasks/s flat over 45 s, where a partial index on the state fell from
-- 59,200 to 32,600.
create table task (
  id             bigint generated always as identity primary key,
  -- No foreign key: its trigger would cost more than the insert, and classes are never deleted.
  class_id       int not null,
  priority       smallint not null,
  -- 0 queued, 1 assigned, 2 running
  state          smallint not null,
  attempt_count  smallint not null default 0,
  oom_count      smallint not null default 0,
  -- Grows with every assignment; the fencing token of every report.
  epoch          int not null default 0,
  session_id     bigint,
  -- Set while the task waits for a time or a retry; such a task is never claimed.
  wake_time      timestamptz,
  -- The task fails with DEADLINE_BEFORE_START when it has not started by then.
  start_deadline timestamptz,
  create_time    timestamptz not null default now(),
  assign_time    timestamptz,
  accept_time    timestamptz,
  start_time     timestamptz,
  phase_time     timestamptz,
  cancel_time    timestamptz,
  phase          text,
  progress       jsonb,
  cancel_reason  text,
  unique_key     text,
  content_type   text,
  headers        jsonb,
  options        jsonb,
  failure        jsonb,
  payload        bytea not null,
  constraint task_owner check ((state = 0) = (session_id is null)),
  constraint task_wakes_while_queued check (wake_time is null or state = 0),
  constraint task_state check (state between 0 and 2)
) with (
  fillfactor = 50,
  autovacuum_vacuum_scale_factor = 0.02,
  autovacuum_vacuum_threshold = 5000,
  autovacuum_vacuum_insert_scale_factor = 0.05,
  autovacuum_analyze_scale_factor = 0.2,
  autovacuum_analyze_threshold = 5000,
  autovacuum_vacuum_cost_delay = 0
);
-- Refills a scheduler's window of ids in order; only inserts and deletes touch it.
create index task_class_order on task (class_id, priority desc, id);
create index task_wake_time on task (wake_time) where wake_time is not null;
create index task_start_deadline on task (start_deadline) where start_deadline is not null;

-- Ended tasks, a partition a day of their end, dropped by age.
create table task_finished (
  id                  bigint not null,
  finish_time         timestamptz not null default now(),
  class_id            int not null,
  priority            smallint not null,
  -- 3 succeeded, 4 failed, 5 cancelled
  state               smallint not null check (state between 3 and 5),
  detail              text not null,
  attempt_count       smallint not null,
  oom_count           smallint not null,
  epoch               int not null,
  session_id          bigint,
  create_time         timestamptz not null,
  assign_time         timestamptz,
  accept_time         timestamptz,
  start_time          timestamptz,
  cancel_time         timestamptz,
  phase               text,
  progress            jsonb,
  cancel_reason       text,
  unique_key          text,
  content_type        text,
  output_content_type text,
  headers             jsonb,
  options             jsonb,
  failure             jsonb,
  warnings            jsonb,
  metrics             jsonb,
  payload             bytea not null,
  output              bytea
) partition by range (finish_time);
create index task_finished_id on task_finished (id);

-- Attempts that ended without ending their task.
create table task_attempt (
  task_id     bigint not null,
  epoch       int not null,
  number      smallint not null,
  session_id  bigint,
  outcome     text not null,
  failure     jsonb,
  assign_time timestamptz,
  accept_time timestamptz,
  start_time  timestamptz,
  end_time    timestamptz not null default now()
) partition by range (end_time);
create index task_attempt_task_id on task_attempt (task_id, epoch);

-- Holds a key for as long as its task's record is kept.
create table task_key (
  queue       text not null,
  key         text not null,
  task_id     bigint not null,
  create_time timestamptz not null default now(),
  primary key (queue, key)
);
create index task_key_create_time on task_key (create_time);

-- The feed. A statement that moves many tasks appends one row that names them all; what concerns one task
-- alone has its id in task_id. A task's regular life (created, assigned, ...) is read from its own row.
create table event (
  id         bigint generated always as identity,
  time       timestamptz not null default now(),
  name       text not null,
  task_id    bigint,
  epoch      int,
  session_id bigint,
  worker_id  text,
  -- Position within the attempt, as the worker numbered it.
  sequence   bigint,
  task_ids   bigint[],
  epochs     int[],
  attributes jsonb
) partition by range (time);
create index event_id on event (id);
create index event_task_id on event (task_id, id) where task_id is not null;
create index event_worker_id on event (worker_id, id) where worker_id is not null;

-- Incremental output.
create table task_output (
  task_id  bigint not null,
  epoch    int not null,
  sequence bigint not null,
  time     timestamptz not null default now(),
  data     bytea not null
) partition by range (time);
create index task_output_task_id on task_output (task_id, epoch, sequence);

-- Makes the daily partitions from yesterday to `ahead` days from now (UTC days); harmless when they exist.
create function ensure_partitions(ahead int) returns void language plpgsql as $$
declare
  parent text;
  day date;
begin
  foreach parent in array array['task_finished', 'task_attempt', 'event', 'task_output'] loop
    for day in select generate_series((now() at time zone 'utc')::date - 1, (now() at time zone 'utc')::date + ahead, '1 day')::date loop
      if to_regclass(format('%I_%s', parent, to_char(day, 'YYYYMMDD'))) is null then
        execute format('create table %I partition of %I for values from (%L) to (%L)',
          parent || '_' || to_char(day, 'YYYYMMDD'), parent,
          to_char(day, 'YYYY-MM-DD') || ' 00:00:00+00', to_char(day + 1, 'YYYY-MM-DD') || ' 00:00:00+00');
      end if;
    end loop;
  end loop;
end
$$;

-- Drops partitions whose day ended more than `keep_days` days ago; returns how many.
create function drop_partitions(keep_days int) returns int language plpgsql as $$
declare
  child record;
  dropped int := 0;
begin
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
  return dropped;
end
$$;

-- Rows that no daily partition takes still land somewhere: a scheduler that was off for a week must not
-- refuse results.
create table task_finished_default partition of task_finished default;
create table task_attempt_default partition of task_attempt default;
create table event_default partition of event default;
create table task_output_default partition of task_output default;
select ensure_partitions(7);
