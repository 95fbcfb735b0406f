-- What tasks take of their worker's capacities: a list of {name, amount} in the order of the names, part of their class.
-- Null for one slot and nothing else, which most tasks take.
alter table task_class add column cost jsonb;
