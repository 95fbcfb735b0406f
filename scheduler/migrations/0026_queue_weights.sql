-- The share of each queue among the queues that the same workers serve. A default that is a constant is kept in the catalog:
-- the table is not rewritten.
alter table queue
  add column weight int not null default 1 constraint queue_weight check (weight between 1 and 1000),
  add column weight_reason text,
  add column weight_time timestamptz;
