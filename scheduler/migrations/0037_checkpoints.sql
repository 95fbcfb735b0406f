-- The last checkpoint of each task that has one. `options` of the task has the member `checkpointed` while it counts: tasks without
-- checkpoints are claimed and read without a look at this table. A row without it is left over, and retention deletes it.
create table task_checkpoint (
  task_id      bigint primary key,
  -- The attempt that stored it, and its number there: both only grow.
  epoch        int not null,
  sequence     bigint not null,
  update_time  timestamptz not null default now(),
  content_type text,
  data         bytea not null
) with (fillfactor = 70);
