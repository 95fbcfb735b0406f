-- Recurring tasks: a row for each schedule. Who changes it holds the lock of its row.
create table schedule (
  name     text primary key,
  -- When the next tick is submitted, or tried again; null while the schedule is paused or has ended.
  due_time timestamptz,
  -- The schedule without its template, with its last ticks.
  record   jsonb not null,
  -- The TaskSpec that it submits, as protobuf.
  template bytea not null
) with (
  fillfactor = 50,
  autovacuum_vacuum_scale_factor = 0.02,
  autovacuum_vacuum_threshold = 1000,
  autovacuum_vacuum_cost_delay = 0
);
create index schedule_due on schedule (due_time) where due_time is not null;
