-- Classes with keys may be as many as keys, with a new one for every order: their rows are deleted when no task refers to
-- them. `idle_time` is set while no open task refers to the class. It is null whenever a task is inserted.
alter table task_class add column idle_time timestamptz;

-- Those that are in use or were lately, and those that wait for their deletion: each is read without the others.
create index task_class_used on task_class (id) where idle_time is null and concurrency is not null;
create index task_class_idle_time on task_class (idle_time) where idle_time is not null;
