-- Tasks with named steps, and ended ones of which a step has failed, for lists and changes by step. Tasks without steps are in
-- none of them, and their options are not looked into.
create index task_steps on task (id) where options ? 'steps';
create index task_finished_steps on task_finished (id) where options ? 'steps';
create index task_finished_failed_steps on task_finished (id)
  where options ? 'steps' and options @? '$.steps.* ? (@.state == "failed")';
