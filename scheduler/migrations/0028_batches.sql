-- Sets of tasks. A batch has the id of a task: that of its completion task, when it has one. The dependencies of this id are
-- the members, so the ends of members are counted as those of predecessors are. While the batch is open it also depends on
-- the negative of its id, which no task has.
create table batch (
  id             bigint primary key,
  title    text not null,
  has_completion boolean not null,
  create_time    timestamptz not null default now(),
  close_time     timestamptz,
  cancel_time    timestamptz,
  cancel_reason  text,
  -- Members up to this id have been cancelled; null while no cancellation is under way.
  cancel_done_id bigint
);
create index batch_cancel on batch (id) where cancel_done_id is not null;
create index batch_create_time on batch (create_time);
