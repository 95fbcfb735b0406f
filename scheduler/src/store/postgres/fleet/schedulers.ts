/** Writes and reads schedulers: announcements, leader leases, and commands between schedulers. */
import type { Announcement, Command, SchedulerRow } from "../../store.ts";
import type { Database, Statement } from "../connection/database.ts";

const ANNOUNCE: Statement = {
  name: "scheduler-announce",
  text: `insert into scheduler (id, address, version, lease_until, status)
    values ($1, $2, $3, now() + $4::float8 * interval '1 ms', $5::jsonb)
    on conflict (id) do update
       set lease_until = excluded.lease_until, announce_time = now(), status = excluded.status`,
};

const OTHERS: Statement = {
  name: "scheduler-others",
  text: "select id, address from scheduler where id <> $1 and lease_until > now() order by start_time",
};

const RETIRE: Statement = {
  name: "scheduler-retire",
  text: `with led as (update leader set lease_until = now() where scheduler_id = $1)
    delete from scheduler where id = $1`,
};

// Commands to a scheduler that has ended are never taken: its sessions end or move to another scheduler, which reads
// the request with the task. The row of one that ended without signing off is kept for an hour: `muster doctor` lists it.
const FORGET: Statement = {
  name: "scheduler-forget",
  text: `with dead as (delete from scheduler where lease_until < now() - interval '1 hour' returning id),
    led as (update leader set lease_until = now() where scheduler_id in (select id from dead))
    delete from command c
     where not exists (select from scheduler s where s.id = c.scheduler_id and s.lease_until >= now())`,
};

// The term grows with every new leader, so that a leader that stalled past its lease is fenced. The lease of a scheduler
// that is known to have died is free before it expires: the one of retention lasts for hours.
export const LEAD_TEXT = `insert into leader (name, scheduler_id, term, lease_until)
    values ($1, $2, 1, now() + $3::float8 * interval '1 ms')
    on conflict (name) do update
       set scheduler_id = excluded.scheduler_id, lease_until = excluded.lease_until,
           term = leader.term + case when leader.scheduler_id = excluded.scheduler_id then 0 else 1 end
     where leader.scheduler_id = excluded.scheduler_id or leader.lease_until < now()
        or exists (select from scheduler s where s.id = leader.scheduler_id and s.lease_until < now())
    returning term`;
const LEAD: Statement = { name: "leader-lead", text: LEAD_TEXT };

const SEND: Statement = {
  name: "command-send",
  text: `with sent as (
    insert into command (scheduler_id, session_id, kind, body) values ($1, $2, $3, $4::jsonb))
  select pg_notify('muster', $5)`,
};

const TAKE: Statement = {
  name: "command-take",
  text: "delete from command where scheduler_id = $1 returning id, session_id, kind, body",
};

/** Announces that this scheduler lives for another `leaseMs`. */
export async function announce(db: Database, scheduler: Announcement, leaseMs: number): Promise<void> {
  await db.cold(ANNOUNCE, [
    scheduler.id,
    scheduler.address,
    scheduler.version,
    leaseMs,
    JSON.stringify(scheduler.status ?? {}),
  ]);
}

/** Other living schedulers on this database. */
export function otherSchedulers(db: Database, selfId: string): Promise<SchedulerRow[]> {
  return db.cold<{ id: string; address: string }>(OTHERS, [selfId]);
}

/** Deletes a scheduler that stops, and frees its leader leases. */
export async function retire(db: Database, id: string): Promise<void> {
  await db.cold(RETIRE, [id]);
}

/** Deletes schedulers that have ended, and the commands for them. */
export async function forgetDead(db: Database): Promise<void> {
  await db.cold(FORGET, []);
}

/** Takes or renews the leader lease of `name`; false when another scheduler holds it. */
export async function lead(
  db: Database,
  name: string,
  schedulerId: string,
  leaseMs: number,
): Promise<boolean> {
  return (await db.cold(LEAD, [name, schedulerId, leaseMs])).length > 0;
}

/** Stores a command for the scheduler that holds a session. Commands are idempotent. */
export async function sendCommand(db: Database, schedulerId: string, command: Command): Promise<void> {
  const hint = JSON.stringify({ kind: "command", schedulerId });
  await db.cold(SEND, [schedulerId, command.sessionId, command.kind, JSON.stringify(command.body), hint]);
}

/** Takes the commands for this scheduler, oldest first. */
export async function takeCommands(db: Database, schedulerId: string): Promise<Command[]> {
  interface Row {
    id: number;
    session_id: number;
    kind: Command["kind"];
    body: Record<string, string>;
  }
  const rows = await db.cold<Row>(TAKE, [schedulerId]);
  return rows
    .sort((a, b) => a.id - b.id)
    .map((row) => ({ sessionId: row.session_id, kind: row.kind, body: row.body }));
}
