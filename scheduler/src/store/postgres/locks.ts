/**
 * A CTE `living` with those of the sessions that have a lease, which it holds on to until the commit: a
 * session that ends meanwhile waits, and then finds what it was given. Without it a task given to a session
 * in the moment of its end would stay with it for ever.
 *
 * @param sessionIds The statement's parameter with the ids, for example `$2`.
 */
export function livingSessions(sessionIds: string): string {
  return `living as materialized (
    select session_id from session_lease where session_id = any(${sessionIds}::bigint[])
     order by session_id for key share)`;
}

/** The items by task id: statements that lock rows in one order do not deadlock. */
export function inLockOrder<T>(items: readonly T[], taskIdOf: (item: T) => number): T[] {
  return [...items].sort((a, b) => taskIdOf(a) - taskIdOf(b));
}
