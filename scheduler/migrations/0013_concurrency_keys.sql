-- Tasks with concurrency keys have classes of their own: a key then holds back whole classes, and a task without keys
-- needs neither a column nor a look. `concurrency` is a list of {key, limit} in the order of the keys; null without keys.
alter table task_class add column concurrency jsonb;

-- How many assigned or running tasks hold each key. The statement that changes the state of a task changes this, too:
-- first it locks the tasks, then the keys in their order.
create table concurrency_key (
  key            text primary key,
  held           int not null default 0,
  -- The operator's limit, which replaces those of the tasks; null without one.
  limit_override int,
  limit_reason   text,
  limit_time     timestamptz,
  constraint concurrency_key_held check (held >= 0),
  constraint concurrency_key_override check (
    (limit_override is null) = (limit_reason is null) and (limit_override is null) = (limit_time is null)
    and limit_override >= 0)
) with (
  fillfactor = 50,
  autovacuum_vacuum_scale_factor = 0.02,
  autovacuum_vacuum_threshold = 1000,
  autovacuum_vacuum_cost_delay = 0
);
-- Of the columns that it names, a claim or an end changes none, so that these updates stay in place.
create index concurrency_key_override on concurrency_key (key) where limit_override is not null;

-- The keys of each class, for the statements that lock and count them.
create table class_key (
  class_id int not null,
  key      text not null references concurrency_key (key),
  max_held int not null check (max_held > 0),
  primary key (class_id, key)
);
create index class_key_key on class_key (key);
