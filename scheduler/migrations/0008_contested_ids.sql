-- Two living processes with one worker id. `superseded_by` is the session that took this one's place while its
-- process was alive; null for one that was given up because it was gone. `challenger` is the last process that
-- asked for this session's worker id and was made to wait: hostname and pid.
alter table worker_session add column superseded_by bigint;
alter table worker_session add column challenger jsonb;
alter table worker_session add column challenge_time timestamptz;
create index worker_session_challenge_time on worker_session (challenge_time) where challenge_time is not null;
