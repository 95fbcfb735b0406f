-- What every attempt reports has columns of its own: as JSON it cost more to parse and store than the rest of
-- the row. `metrics` keeps what few attempts have (the phases), and the whole of it in older rows.
alter table task_finished
  add column run_ms double precision,
  add column peak_rss_bytes bigint;
