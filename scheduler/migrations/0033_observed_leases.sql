-- The end of the lease that a scheduler in mode `observe` has recorded as lost: until a renewal moves it, no scheduler records
-- it again. No index has the column.
alter table session_lease add column observed_lease timestamptz;
