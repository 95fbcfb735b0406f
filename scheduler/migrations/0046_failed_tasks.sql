-- Ended tasks with a failure by their ids, for lists by state, failure code and text of the error. Successes are not in it.
create index task_finished_failure on task_finished (id) where state = 4 or failure is not null;
