-- The last request of an operator to end a launched process; see LaunchStop. It stays with the launch.
alter table launch add column stop jsonb;
-- Schedulers read the open requests with every poll while supervisors wait for one.
create index launch_stop on launch (id) where stop is not null and end_time is null;
