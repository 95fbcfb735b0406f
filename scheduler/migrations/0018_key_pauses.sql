-- Pauses of rate limit keys: until then no task with the key is assigned. A pause that is over is not deleted: the next one
-- takes its place.
alter table rate_key
  add column pause_until  timestamptz,
  add column pause_reason text,
  -- Who asked, besides what the reason has: the attempt and its worker; null for an operator.
  add column pause_by     text,
  add column pause_time   timestamptz,
  add constraint rate_key_pause check (
    (pause_until is null) = (pause_reason is null) and (pause_until is null) = (pause_time is null));
create index rate_key_paused on rate_key (pause_until) where pause_until is not null;

-- A copy, so that a claim decides by the rows that it locks: once a pause is committed, no claim starts a task.
alter table rate_bucket add column pause_until timestamptz;
