-- Settings of queues that few have, such as the retry policy of tasks that name none; each scheduler keeps them in memory.
alter table queue
  add column settings jsonb constraint queue_settings check (jsonb_typeof(settings) = 'object' and settings <> '{}'),
  add column settings_reason text,
  add column settings_time timestamptz,
  add constraint queue_settings_set check (
    (settings is null) = (settings_reason is null) and (settings is null) = (settings_time is null));
