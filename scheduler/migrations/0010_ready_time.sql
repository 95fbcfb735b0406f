-- When a queued task last became ready to start: the time that it waited for, or when it was requeued or retried. Null means
-- `create_time`, which is so for nearly every task: a submit writes nothing here, and adding the column rewrites no row.
alter table task add column ready_time timestamptz;
