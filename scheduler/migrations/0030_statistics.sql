-- The class of a task at the end of its attempt, so that failures are counted by queue and type without a look at the task.
-- Null in rows of before.
alter table task_attempt add column class_id int;
-- Attempts that failed, newest first. Only the end of an attempt without the end of its task writes this table.
create index task_attempt_failed on task_attempt (end_time desc) where failure is not null;

-- Successes by queue and type. Each scheduler counts its own in memory and appends a row every ten seconds, when there are
-- any: a count in the statement that ends tasks would cost each of them. The three arrays have an entry for each pair.
-- The number of the row makes a second try after a commit of unknown outcome harmless.
create table completion_count (
  scheduler_id text not null,
  number       int not null,
  time         timestamptz not null default now(),
  queues       text[] not null,
  types        text[] not null,
  counts       int[] not null,
  primary key (scheduler_id, number)
);
create index completion_count_time on completion_count (time);
-- In a database in use this row marks when counting began; its scheduler id is empty.
insert into completion_count (scheduler_id, number, queues, types, counts)
select '', 0, '{}', '{}', '{}' where exists (select from task_finished);

-- When a scheduler last wrote its counts.
alter table scheduler add column count_time timestamptz;
