-- How often the task was requeued for what counts against it later: `unaccepted` (assigned and not accepted in time) and
-- `deaths` (its process died while it ran). Null for nearly every task, so that it costs a row nothing; adding it rewrites
-- no row.
alter table task add column requeue_counts jsonb;

-- A class beside another, for tasks that run alone in a process: those that took part in deaths whose cause is not known.
-- Workers are matched with classes, so the difference has to be one of classes.
alter table task_class add column alone boolean not null default false;
