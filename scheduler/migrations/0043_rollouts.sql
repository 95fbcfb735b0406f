-- Rollouts: a changed template reaches the workers of a pool gradually. See RolloutRecord; null while no worker was ever ready.
alter table pool add column rollout jsonb;

-- The templates of pools by version: launches have the one with which they were decided.
create table pool_template (
  pool        text not null references pool (name) on delete cascade,
  version     bigint not null,
  template    jsonb not null,
  create_time timestamptz not null default now(),
  primary key (pool, version)
);

insert into pool_template (pool, version, template, create_time)
select name, template_version, spec -> 'template', update_time from pool;
