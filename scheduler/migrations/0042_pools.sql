-- Pools: workers that start by themselves. A controller decides with the lock of the pool's row.
create table pool (
  name             text primary key,
  -- What operators set; see PoolSpec.
  spec             jsonb not null,
  version          bigint not null,
  template_version bigint not null,
  create_time      timestamptz not null default now(),
  update_time      timestamptz not null default now(),
  -- Who paused it and who deletes it; see OperatorMark.
  pause            jsonb,
  deletion         jsonb,
  -- The guard and what was wanted of late; see PoolMemory.
  memory           jsonb not null,
  -- The launcher that has the pool's lease.
  launcher_id      text,
  launcher_session text,
  launcher_host    text,
  launcher_until   timestamptz
) with (
  fillfactor = 50,
  autovacuum_vacuum_scale_factor = 0.02,
  autovacuum_vacuum_threshold = 1000,
  autovacuum_vacuum_cost_delay = 0
);

-- A decision to start a worker, stored before a launcher receives it.
create table pool_launch (
  id               bigint generated always as identity primary key,
  launch_id        text not null unique,
  pool             text not null,
  template_version bigint not null,
  reason           text not null,
  probe            boolean not null,
  order_time       timestamptz not null default now(),
  -- The launcher that has it: stored before it is sent, so that no other one receives it.
  launcher_id      text,
  send_time        timestamptz,
  -- What the launcher last saw of it; see LaunchObservation.
  observation      jsonb,
  observe_time     timestamptz,
  ready_time       timestamptz,
  -- Why it is to stop; see PoolStop.
  stop             jsonb,
  end_time         timestamptz,
  -- How it ended and why; see LaunchEndRecord.
  ending           jsonb,
  check ((end_time is null) = (ending is null))
);
create index pool_launch_pool on pool_launch (pool, id desc);
create index pool_launch_open on pool_launch (pool, id) where end_time is null;
create index pool_launch_ready on pool_launch (pool, id desc) where ready_time is not null;
create index pool_launch_end_time on pool_launch (end_time) where end_time is not null;
