-- Tasks with rate limits have classes of their own, as those with concurrency keys: an empty bucket then holds back whole
-- classes. `rate_limits` is a list of {key, limit, periodMs, burst} in the order of the keys; null without limits.
alter table task_class add column rate_limits jsonb;

-- What operators and handlers set for a rate limit key.
create table rate_key (
  -- Of a queue: "queue", a line break and its name. Keys of tasks have no line breaks.
  key          text primary key,
  limit_reason text,
  limit_time   timestamptz,
  constraint rate_key_limit check ((limit_reason is null) = (limit_time is null))
);
create index rate_key_limited on rate_key (key) where limit_time is not null;

-- A token bucket for each rate of a key; with `overrides` the operator's rate, which replaces those of the tasks. A bucket
-- is full at `full_time` when nothing more starts, and has a token less for each limit-th part of the period before it;
-- null is full. The statement that assigns tasks locks the tasks first, then concurrency keys, then these rows in the
-- order of the primary key.
create table rate_bucket (
  key         text not null references rate_key (key),
  overrides   boolean not null default false,
  limit_count int not null check (limit_count > 0),
  period_ms   bigint not null check (period_ms > 0),
  burst       int not null check (burst > 0),
  full_time   timestamptz,
  primary key (key, overrides, limit_count, period_ms, burst)
) with (
  fillfactor = 50,
  autovacuum_vacuum_scale_factor = 0.02,
  autovacuum_vacuum_threshold = 1000,
  autovacuum_vacuum_cost_delay = 0
);
create unique index rate_bucket_override on rate_bucket (key) where overrides;

-- The rate limits of each class, for the statement that takes tokens.
create table class_rate (
  class_id    int not null,
  key         text not null references rate_key (key),
  limit_count int not null,
  period_ms   bigint not null,
  burst       int not null,
  primary key (class_id, key)
);
create index class_rate_key on class_rate (key);
