/** Registers worker sessions, new and returning, with the attempts that they hold. */
import type { CompletionRecord } from "../../../domain/workers/completions.ts";
import type { StartupPhaseRecord } from "../../../domain/workers/worker.ts";
import type { SessionOpen, SessionOpened } from "../../sessions.ts";
import type { Database, Statement } from "../connection/database.ts";
import { type AttemptColumns, toAttemptRow } from "../tasks/attempt-columns.ts";
import { CONTESTED, type ContestedColumns, noteChallengers, toContested } from "./contests.ts";
import { HELD } from "./held.ts";
import { type QuarantineColumn, toQuarantine } from "./quarantines.ts";

// The lease that is read at the end is the one before: the statement does not see its own changes.
// Leases are locked before sessions, as when sessions end; the other order would deadlock.
const OPEN: Statement = {
  name: "session-open",
  text: `with locked as materialized (
    select l.session_id from session_lease l join worker_session s on s.id = l.session_id
     where s.uuid = any($1::uuid[]) order by l.session_id for update of l),
  input as materialized (
    select d.uuid::uuid as uuid, d.worker_id, d.hello::jsonb as hello, d.phases::jsonb as phases, d.ready, d.draining,
           d.settings::jsonb as settings
      from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::boolean[], $6::boolean[], $9::text[])
        as d(uuid, worker_id, hello, phases, ready, draining, settings)
     where (select count(*) from locked) >= 0),
${CONTESTED},
  opened as (
    insert into worker_session (uuid, worker_id, scheduler_id, hello, phases, ready, draining, settings)
    select d.uuid, d.worker_id, $7, d.hello, d.phases, d.ready, d.draining, d.settings
      from input d where not exists (select from contested c where c.uuid = d.uuid)
    on conflict (uuid) do update
       set scheduler_id = excluded.scheduler_id, hello = excluded.hello, phases = excluded.phases,
           ready = excluded.ready, draining = excluded.draining, settings = excluded.settings, connect_time = now(),
           gone_time = null, gone_reason = null
    returning id, uuid, worker_id, (xmax <> 0) as known, quarantine),
  leased as (
    insert into session_lease (session_id, scheduler_id, lease_until)
    select id, $7, now() + $8::float8 * interval '1 ms' from opened
    on conflict (session_id) do update
       set scheduler_id = excluded.scheduler_id, lease_until = excluded.lease_until, heartbeat_time = now(),
           disconnected = false),
  ev as (
    insert into event (name, session_id, worker_id, attributes)
    select case when known then 'worker.reconnected' else 'worker.registered' end, id, worker_id,
           jsonb_build_object('scheduler_id', $7::text)
      from opened)
  select o.id, o.uuid::text as uuid, o.known, null::jsonb as host, null::int as takeovers, null::float8 as held_ms,
         null::float8 as left_ms, p.reason as pause_reason, p.pause_time, o.quarantine,
         extract(epoch from (o.quarantine ->> 'probeTime')::timestamptz - now())::float8 * 1000 as probe_in_ms,
         l.heartbeat #> '{seen,completed}' as completed,
         extract(epoch from now() - l.heartbeat_time)::float8 * 1000 as completed_age_ms
    from opened o left join worker_pause p on p.worker_id = o.worker_id
    left join session_lease l on l.session_id = o.id
   union all
  select holder_id, uuid::text, false, host, takeovers, held_ms, left_ms, null, null, null, null, null, null from contested`,
};

// All but the newest: processes that register with one worker id at the same moment agree on which one stays.
const OLDER: Statement = {
  name: "session-older",
  text: `select id, scheduler_id, worker_id
    from (
      select s.id, s.scheduler_id, s.worker_id,
             row_number() over (partition by s.worker_id order by s.connect_time desc, s.id desc) as place
        from worker_session s
       where s.worker_id = any($1::text[]) and s.gone_time is null) s
   where place > 1`,
};

// These writes may arrive out of order, and everything in them only grows.
const STARTUP: Statement = {
  name: "session-startup",
  text: `update worker_session
     set phases = case when jsonb_array_length($2::jsonb) >= jsonb_array_length(phases) then $2::jsonb else phases end,
         ready = ready or $3, draining = draining or $4
   where id = $1`,
};

interface OpenedColumns extends ContestedColumns {
  known: boolean;
  pause_reason: string | null;
  pause_time: Date | null;
  quarantine: QuarantineColumn | null;
  probe_in_ms: number | null;
  completed: CompletionRecord | null;
  completed_age_ms: number | null;
}

/** Registers sessions, new or returning, and returns what each holds. */
export async function openSessions(
  db: Database,
  opens: readonly SessionOpen[],
  schedulerId: string,
  leaseMs: number,
): Promise<SessionOpened[]> {
  const opened = await db.cold<OpenedColumns>(OPEN, [
    opens.map(({ uuid }) => uuid),
    opens.map(({ workerId }) => workerId),
    opens.map(({ hello }) => JSON.stringify(hello)),
    opens.map(({ phases }) => JSON.stringify(phases)),
    opens.map(({ ready }) => ready),
    opens.map(({ draining }) => draining),
    schedulerId,
    leaseMs,
    opens.map(({ settings }) => (settings?.length ? JSON.stringify(settings) : null)),
  ]);
  await noteChallengers(db, opened, opens);
  const older = await db.cold<{ id: number; scheduler_id: string; worker_id: string }>(OLDER, [
    opens.map(({ workerId }) => workerId),
  ]);
  const returning = opened.filter(({ known }) => known).map(({ id }) => id);
  const held =
    returning.length > 0 ? (await db.cold<AttemptColumns>(HELD, [returning])).map(toAttemptRow) : [];
  const byUuid = new Map(opened.map((row) => [row.uuid, row]));
  return opens.map(({ uuid, workerId }) => {
    const row = byUuid.get(uuid.toLowerCase());
    if (!row) throw new Error(`session ${uuid} was not registered`);
    const contested = toContested(row);
    if (contested) return { contested, sessionId: 0, attempts: [], superseded: [] };
    return {
      sessionId: row.id,
      attempts: held.filter(({ sessionId }) => sessionId === row.id),
      ...(row.pause_reason !== null && row.pause_time
        ? { pause: { reason: row.pause_reason, since: row.pause_time } }
        : {}),
      ...(row.quarantine
        ? { quarantined: { record: toQuarantine(row.quarantine), probeInMs: row.probe_in_ms ?? 0 } }
        : {}),
      ...(row.completed ? { completed: { record: row.completed, ageMs: row.completed_age_ms ?? 0 } } : {}),
      superseded: older
        .filter((session) => session.worker_id === workerId)
        .map((session) => ({ sessionId: session.id, schedulerId: session.scheduler_id })),
    };
  });
}

/** Stores a worker's startup phases and readiness. */
export async function recordStartup(
  db: Database,
  sessionId: number,
  phases: readonly StartupPhaseRecord[],
  ready: boolean,
  draining: boolean,
): Promise<void> {
  await db.cold(STARTUP, [sessionId, JSON.stringify(phases), ready, draining]);
}
