-- Workers that an operator has paused. By worker id, so that a pause outlasts the process: a worker that its supervisor
-- restarts stays paused.
create table worker_pause (
  worker_id  text primary key,
  reason     text not null,
  pause_time timestamptz not null default now()
);
