-- How long the tasks waited that a scheduler assigned since its last row: a count for each bucket of the measured waits.
-- Null in rows of before, and of a scheduler of an older version.
alter table completion_count add column waits int[];

-- What the whole fleet did in each minute, for the plots of the dashboard. One scheduler writes a row a minute, and deletes what
-- is older than seven days: about 10,000 rows.
create table history (
  time            timestamptz primary key,
  -- Time since the row before that was counted, milliseconds.
  counted_ms      float8 not null,
  succeeded       bigint not null,
  failed          bigint not null,
  failed_attempts bigint not null,
  ready           bigint not null,
  scheduled       bigint not null,
  active          bigint not null,
  stuck           bigint not null,
  oldest_ready_ms float8,
  ready_workers   bigint not null,
  workers         bigint not null,
  waits           bigint[]
);
