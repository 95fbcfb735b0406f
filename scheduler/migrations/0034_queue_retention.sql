-- Ended tasks of a queue with a retention of its own are deleted a day at a time; this is the last day that was.
alter table queue add column purged_day date;
