-- What becomes of tasks when the limit of a key is reached: 'cancel_newest' or 'cancel_running'; null for tasks that wait.
alter table class_key add column on_limit text;
