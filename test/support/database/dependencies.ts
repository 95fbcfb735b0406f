/** Looks in one snapshot of the database for dependents that started early or are forgotten. */
import assert from "node:assert/strict";

interface Queries {
  query<R extends object>(text: string): Promise<R[]>;
}

// A dependency is open until its end is counted, in the transaction that changes the dependent.
const FAULTS = `
  select format('t-%s has not the wait of its links', t.id) as fault
    from task t left join task_wait w on w.task_id = t.id
   where (coalesce(t.links & 2, 0) <> 0) <> (w.task_id is not null)
      or (coalesce(t.links & 2, 0) <> 0) <> (coalesce(t.wake_time = 'infinity', false))
  union all
  select format('t-%s waits and is not open', w.task_id) from task_wait w where not exists (select from task t where t.id = w.task_id)
  union all
  select format('t-%s waits for %s tasks, and %s of its dependencies are open', w.task_id, w.open_count, d.n)
    from task_wait w
    cross join lateral (select count(*) as n from task_dependency where task_id = w.task_id and end_time is null) d
   where w.open_count <> d.n or d.n = 0
  union all
  select format('t-%s is not held although t-%s is not counted', t.id, d.predecessor_id)
    from task t join task_dependency d on d.task_id = t.id and d.end_time is null
   where coalesce(t.links & 2, 0) = 0
  union all
  select format('t-%s waits for t-%s, whose end will not be counted', d.task_id, d.predecessor_id)
    from task_dependency d join task_wait w on w.task_id = d.task_id
   where d.end_time is null and d.predecessor_id > 0
     and not exists (select from task p where p.id = d.predecessor_id and p.links & 1 <> 0)
     and not exists (select from dependency_end e where e.predecessor_id = d.predecessor_id and d.id > e.done_id and d.id <= e.last_id)
  union all
  select format('t-%s was released although t-%s ended as %s', d.task_id, d.predecessor_id, d.end_state)
    from task_dependency d join task t on t.id = d.task_id
   where d.success and d.end_state <> 3 and coalesce(t.links & 2, 0) = 0
  limit 20`;

/** What is wrong with dependencies, as sentences; none when nothing is. */
export async function dependencyFaults(db: Queries): Promise<string[]> {
  return (await db.query<{ fault: string }>(FAULTS)).map(({ fault }) => fault);
}

/** Fails when a dependent started early or is forgotten. */
export async function assertDependencies(db: Queries): Promise<void> {
  assert.deepEqual(await dependencyFaults(db), []);
}
