-- Sessions find their launch, and launches their session, by the id that both were given: whichever of hello
-- and the supervisor's report comes first, nothing has to be written for the other.
alter table worker_session add column launch_id text generated always as (nullif(hello ->> 'launchId', '')) stored;
create index worker_session_launch_id on worker_session (launch_id) where launch_id is not null;

-- A worker process that a supervisor started, from its start to its end.
create table launch (
  -- Numbered with the sessions: both are listed as workers, in one order.
  id          bigint primary key default nextval('worker_session_id_seq'),
  launch_id   text not null unique,
  worker_id   text not null,
  pool        text not null,
  -- What the supervisor says of the start; see LaunchFacts.
  facts       jsonb not null,
  phases      jsonb not null default '[]',
  launch_time timestamptz not null,
  -- When the supervisor was last heard of.
  report_time timestamptz not null default now(),
  end_time    timestamptz,
  end_reason  text,
  -- See ExitRecord; null when nobody saw the end.
  exit        jsonb,
  restart_time timestamptz,
  -- Apart from `exit`, so that lists do not read it.
  log_tail    text,
  requeued    int not null default 0,
  check ((end_time is null) = (end_reason is null)),
  check (exit is null or end_time is not null)
);
create index launch_worker_id on launch (worker_id, id desc);
create index launch_open on launch (report_time) where end_time is null;
create index launch_end_time on launch (end_time) where end_time is not null;
