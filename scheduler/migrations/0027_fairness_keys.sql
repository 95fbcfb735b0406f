-- Tasks with a fairness key have classes of their own, so that a task needs no column. `fairness` is {key, weight}; null
-- without a key. The table has a row for each class, and adding a column that may be null does not rewrite it.
alter table task_class add column fairness jsonb;
create index task_class_fairness on task_class (queue, (fairness ->> 'key')) where fairness is not null;

-- They may be as many as tenants: they are deleted like those with concurrency keys.
drop index task_class_used;
create index task_class_used on task_class (id)
  where idle_time is null and (concurrency is not null or rate_limits is not null or fairness is not null);

-- The operators' weights of fairness keys, which replace those of the tasks. Few: each scheduler keeps them in memory.
create table fairness_weight (
  queue    text not null,
  key      text not null,
  weight   int not null constraint fairness_weight_range check (weight between 1 and 1000),
  reason   text not null,
  set_time timestamptz not null default now(),
  primary key (queue, key)
);
