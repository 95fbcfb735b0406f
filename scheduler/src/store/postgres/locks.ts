/** Locks that statements share: living sessions, and the order in which rows of tasks are locked. */

/**
 * A CTE `living` with those of the sessions that have a lease. It locks the leases until the commit: the end of a session
 * waits for the commit, and then finds the assigned tasks. Without the lock, a task assigned while its session ends would
 * stay with it forever. A session that moved to another scheduler is treated as ended: an assignment made here would
 * never be sent.
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

/** The items in the order of task ids: statements that lock rows in one order do not deadlock. */
export function inLockOrder<T>(items: readonly T[], taskIdOf: (item: T) => number): T[] {
  return [...items].sort((a, b) => taskIdOf(a) - taskIdOf(b));
}
