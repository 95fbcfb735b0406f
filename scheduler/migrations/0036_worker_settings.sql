-- The settings that a worker registered with, for `muster worker ID` and the diagnosis; kept apart from `hello`, which lists
-- of workers read and every scheduler keeps in memory.
alter table worker_session add column settings jsonb;
