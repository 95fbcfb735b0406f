-- What handlers measured, by attempt: sums by name, which only grow. Only attempts that measure something have a row. Rows are
-- dropped by age; those of a task that is gone are not read any more.
create table attempt_metric (
  task_id     bigint not null,
  epoch       int not null,
  metrics     jsonb not null,
  -- The sums before the last write: what that write adds to the totals is the difference, also when it is repeated after a
  -- commit of unknown outcome.
  prior       jsonb,
  create_time timestamptz not null default now(),
  primary key (task_id, epoch)
) with (fillfactor = 70);
create index attempt_metric_create_time on attempt_metric (create_time);

-- The same summed by minute, queue, type and name, in the statement that writes the sums of the attempts.
create table metric_total (
  time          timestamptz not null,
  queue         text not null,
  type          text not null,
  name          text not null,
  total         float8 not null,
  -- Attempts that reported the name for the first time in the minute.
  attempt_count bigint not null,
  primary key (time, queue, type, name)
) with (fillfactor = 70);
