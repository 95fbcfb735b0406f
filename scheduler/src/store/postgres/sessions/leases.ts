/** Renews the leases of sessions, and ends the lease of a session whose stream dropped. */
import type { HeartbeatRecord } from "../../../domain/workers/worker.ts";
import type { Renewal } from "../../sessions.ts";
import type { Database, Statement } from "../connection/database.ts";

const RENEW: Statement = {
  name: "session-renew",
  text: `with d as (
    select * from unnest($1::bigint[], $2::text[]) as d(session_id, heartbeat)),
  renewed as (
    update session_lease l
       set lease_until = now() + $4::float8 * interval '1 ms', heartbeat_time = now(), heartbeat = d.heartbeat::jsonb,
           disconnected = false
      from d where l.session_id = d.session_id and l.scheduler_id = $3
    returning l.session_id)
  select now() as at,
    array(select d.session_id from d left join renewed r using (session_id) where r.session_id is null) as lost`,
};

const DISCONNECT: Statement = {
  name: "session-disconnect",
  text: `with gone as (
    update session_lease set lease_until = least(lease_until, now()), disconnected = true
     where session_id = $1 and scheduler_id = $2 and not disconnected
    returning session_id)
  insert into event (name, session_id, worker_id)
  select 'worker.suspect', s.id, s.worker_id from gone join worker_session s on s.id = gone.session_id`,
};

/** Renews leases; returns the time, and the sessions whose lease this scheduler no longer holds. */
export async function renewLeases(
  db: Database,
  heartbeats: readonly { sessionId: number; beat: HeartbeatRecord }[],
  schedulerId: string,
  leaseMs: number,
): Promise<Renewal> {
  const [row] = await db.cold<{ at: Date; lost: number[] }>(RENEW, [
    heartbeats.map(({ sessionId }) => sessionId),
    heartbeats.map(({ beat }) => JSON.stringify(beat)),
    schedulerId,
    leaseMs,
  ]);
  if (!row) throw new Error(`the statement ${RENEW.name} returned no row`);
  return row;
}

// A row that is locked is being renewed. A scheduler announces itself every few seconds, for less than a minute.
const SHORTEN: Statement = {
  name: "session-shorten",
  text: `with s as (
    update scheduler set lease_until = now() + interval '1 minute'
     where id in (select id from scheduler where lease_until > now() + interval '1 minute' for update skip locked))
  update session_lease l set lease_until = now() + $1::float8 * interval '1 ms'
    from (
      select session_id from session_lease where lease_until > now() + $1::float8 * interval '1 ms'
         for update skip locked) long
   where l.session_id = long.session_id`,
};

/** Has leases that end later than a new one would end when that does. */
export async function shortenLeases(db: Database, leaseMs: number): Promise<void> {
  await db.cold(SHORTEN, [leaseMs]);
}

const SUPERSEDED: Statement = {
  name: "session-superseded",
  text: "select id from worker_session where id = any($1::bigint[]) and gone_reason = 'superseded'",
};

/** Those of the sessions that a newer one of the same worker id took the place of. */
export async function supersededOf(
  db: Database,
  sessionIds: readonly number[],
): Promise<ReadonlySet<number>> {
  const rows = await db.cold<{ id: number }>(SUPERSEDED, [sessionIds]);
  return new Set(rows.map(({ id }) => id));
}

/** Ends the lease of a session whose stream dropped; the grace runs from now. */
export async function disconnect(db: Database, sessionId: number, schedulerId: string): Promise<void> {
  await db.cold(DISCONNECT, [sessionId, schedulerId]);
}
