-- Tasks with a circuit breaker have classes of their own, as those with concurrency keys: null without one. The internal
-- concurrency key of the circuit is in `concurrency`, too.
alter table task_class add column circuit jsonb;

-- A circuit with what it has counted. Who changes it holds the lock of its concurrency key.
create table circuit (
  key        text primary key,
  -- 0 closed, 1 open, 2 half-open.
  state      smallint not null,
  -- When an open one becomes half-open; null when it waits for an operator.
  probe_time timestamptz,
  -- When it last counted or changed.
  use_time   timestamptz not null default now(),
  record     jsonb not null,
  constraint circuit_state check (state between 0 and 2),
  constraint circuit_probe_time check (probe_time is null or state = 1)
) with (
  fillfactor = 50,
  autovacuum_vacuum_scale_factor = 0.02,
  autovacuum_vacuum_threshold = 1000,
  autovacuum_vacuum_cost_delay = 0
);
-- Of the columns that it names, counting changes none, so that these updates stay in place.
create index circuit_not_closed on circuit (key) where state > 0;
