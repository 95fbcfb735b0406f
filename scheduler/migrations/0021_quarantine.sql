-- Why a worker's session is quarantined, and when it is probed; null for nearly every session, so that it costs a row
-- nothing. It belongs to the session: a quarantine outlasts reconnects and schedulers, and ends with the process.
alter table worker_session add column quarantine jsonb;
