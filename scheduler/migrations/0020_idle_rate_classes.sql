-- Classes with rate limits may be as many as keys, too: they are deleted like those with concurrency keys.
drop index task_class_used;
create index task_class_used on task_class (id)
  where idle_time is null and (concurrency is not null or rate_limits is not null);
