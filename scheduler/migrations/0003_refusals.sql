-- Worker streams that were refused: never a session, so that nothing of a refused peer touches a worker that
-- lives. A row for each worker id, reason and machine; what the peer said of itself is not verified. The
-- scheduler keeps at most a thousand rows, because anybody who reaches the port can add some.
create table worker_refusal (
  worker_id    text not null,
  code         text not null,
  peer_host    text not null,
  peer         text not null,
  message      text not null,
  -- What its hello said: protocol version, SDK, host, pid, pool, task types.
  claims       jsonb not null default '{}',
  scheduler_protocol_version int not null,
  scheduler_id text not null,
  first_time   timestamptz not null default now(),
  last_time    timestamptz not null default now(),
  count        bigint not null,
  primary key (worker_id, code, peer_host),
  check (count > 0)
);

-- Failures of the last hour are shown on a screen that is drawn every two seconds. Only failed tasks are in it,
-- so the hot path pays for it when it fails a task.
create index task_finished_failed on task_finished (finish_time desc) where state = 4;

-- How a scheduler does, as it says with every announcement: loops, addresses, clock.
alter table scheduler add column status jsonb not null default '{}';
alter table scheduler add column announce_time timestamptz not null default now();
