-- Tasks that operators hold back. A held task is queued with the wake time `infinity`, as one that waits for tasks is, so no
-- statement that claims, wakes or counts ready tasks changes. `hold` has the reason, the time, and the start time that the
-- task has when it is released. It is null for all other tasks, and no statement of the hot path writes it.
alter table task add column hold jsonb;
alter table task add constraint task_held_while_queued
  check (hold is null or (state = 0 and wake_time = 'infinity'));
create index task_held on task (id) where hold is not null;
