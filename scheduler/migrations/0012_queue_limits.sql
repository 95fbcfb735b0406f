-- Queues that refuse submits while too many tasks wait in them. Few have a limit; each scheduler keeps them in memory.
alter table queue
  add column max_waiting bigint check (max_waiting > 0),
  add column limit_reason text,
  add column limit_time timestamptz,
  add check ((max_waiting is null) = (limit_reason is null) and (max_waiting is null) = (limit_time is null));
