/**
 * A CTE `living` with those of the sessions that have a lease, which it holds on to until the commit: a
 * session that ends meanwhile waits, and then finds what it was given. Without it a task given to a session
 * in the moment of its end would stay with it for ever. One that has moved to another scheduler counts as
 * ended for this one: what it were given here, nobody would send it there.
 *
 * @param sessionIds The statement's parameter with the ids, for example `$2`.
 * @param schedulerId The statement's parameter with the scheduler that holds them; null for any.
 */
export function livingSessions(sessionIds: string, schedulerId: string): string {
  return `living as materialized (
    select session_id from session_lease
     where session_id = any(${sessionIds}::bigint[])
       and (${schedulerId}::text is null or scheduler_id = ${schedulerId})
     order by session_id for key share)`;
}

/** The items by task id: statements that lock rows in one order do not deadlock. */
export function inLockOrder<T>(items: readonly T[], taskIdOf: (item: T) => number): T[] {
  return [...items].sort((a, b) => taskIdOf(a) - taskIdOf(b));
}
