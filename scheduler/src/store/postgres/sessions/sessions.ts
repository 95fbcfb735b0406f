import { formatAttemptId } from "../../../domain/ids.ts";
import type { ProcessName } from "../../../domain/workers/contest.ts";
import type { HeartbeatRecord, StartupPhaseRecord } from "../../../domain/workers/worker.ts";
import type {
  AttemptRow,
  DecideLost,
  GoneSession,
  Renewal,
  SessionEnd,
  SessionOpen,
  SessionOpened,
} from "../../store.ts";
import type { Database, Runner, Statement } from "../connection/database.ts";
import { ATTEMPT_COLUMNS, type AttemptColumns, jsonParam, toAttemptRow } from "../rows.ts";
import { aloneClasses } from "../tasks/classes.ts";
import { commitResultsWith } from "../tasks/commit.ts";
import { CONTESTED, type ContestedColumns, noteChallengers, processOf, toContested } from "./contests.ts";

// Leases are locked before sessions, as they are when sessions are given up; the other order would deadlock.
const OPEN: Statement = {
  name: "session-open",
  text: `with locked as materialized (
    select l.session_id from session_lease l join worker_session s on s.id = l.session_id
     where s.uuid = any($1::uuid[]) order by l.session_id for update of l),
  input as materialized (
    select d.uuid::uuid as uuid, d.worker_id, d.hello::jsonb as hello, d.phases::jsonb as phases, d.ready, d.draining
      from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::boolean[], $6::boolean[])
        as d(uuid, worker_id, hello, phases, ready, draining)
     where (select count(*) from locked) >= 0),
${CONTESTED},
  opened as (
    insert into worker_session (uuid, worker_id, scheduler_id, hello, phases, ready, draining)
    select d.uuid, d.worker_id, $7, d.hello, d.phases, d.ready, d.draining
      from input d where not exists (select from contested c where c.uuid = d.uuid)
    on conflict (uuid) do update
       set scheduler_id = excluded.scheduler_id, hello = excluded.hello, phases = excluded.phases,
           ready = excluded.ready, draining = excluded.draining, connect_time = now(),
           gone_time = null, gone_reason = null
    returning id, uuid, worker_id, (xmax <> 0) as known),
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
  select id, uuid::text as uuid, known, null::jsonb as host, null::int as takeovers, null::float8 as held_ms,
         null::float8 as left_ms
    from opened
   union all
  select holder_id, uuid::text, false, host, takeovers, held_ms, left_ms from contested`,
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

const HELD: Statement = {
  name: "session-held",
  text: `select ${ATTEMPT_COLUMNS}, t.phase, extract(epoch from now() - t.phase_time)::float8 * 1000 as phase_age_ms,
    extract(epoch from now() - t.start_time)::float8 * 1000 as start_age_ms,
    (select max(e.sequence) from event e where e.task_id = t.id and e.epoch = t.epoch) as sequence
    from task t where t.session_id = any($1::bigint[]) and t.state in (1, 2)`,
};

const HELD_LOCKED: Statement = { name: "session-held-locked", text: `${HELD.text} order by t.id for update` };

// These writes may overtake each other, and everything in them only grows.
const STARTUP: Statement = {
  name: "session-startup",
  text: `update worker_session
     set phases = case when jsonb_array_length($2::jsonb) >= jsonb_array_length(phases) then $2::jsonb else phases end,
         ready = ready or $3, draining = draining or $4
   where id = $1`,
};

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

const TAKE_EXPIRED: Statement = {
  name: "session-take-expired",
  text: `delete from session_lease l
   where l.session_id in (
     select session_id from session_lease
      where lease_until < $1::timestamptz - $2::float8 * interval '1 ms'
      order by lease_until limit $3 for update skip locked)
  returning l.session_id, extract(epoch from now() - l.heartbeat_time)::float8 * 1000 as silent_ms, l.disconnected`,
};

const TAKE: Statement = {
  name: "session-take",
  text: `delete from session_lease l
   where l.session_id in (
     select session_id from session_lease where session_id = any($1::bigint[]) order by session_id for update)
  returning l.session_id, extract(epoch from now() - l.heartbeat_time)::float8 * 1000 as silent_ms, l.disconnected,
    (not l.disconnected and l.lease_until > now()) as alive`,
};

const MARK_GONE: Statement = {
  name: "session-mark-gone",
  text: `with gone as (
    update worker_session s set gone_time = now(), gone_reason = d.reason, fatal = coalesce(d.fatal::jsonb, s.fatal),
           superseded_by = case when not s.draining then d.by end
      from unnest($1::bigint[], $2::text[], $3::text[], $4::float8[], $5::text[], $6::bigint[])
        as d(id, reason, fatal, silent_ms, held, by)
     where s.id = d.id and s.gone_time is null
    returning s.id, s.worker_id, s.scheduler_id, s.gone_reason, s.fatal, round(d.silent_ms)::text as silent_ms, d.held,
      case when s.superseded_by is not null then s.hello -> 'host' end as took_from),
  ev as (
    insert into event (name, session_id, worker_id, attributes)
    select case when gone_reason = 'lost' then 'worker.lost' when gone_reason = 'fatal' then 'worker.fatal'
                else 'worker.gone' end, id, worker_id,
           jsonb_strip_nulls(jsonb_build_object('reason', gone_reason, 'exception_class', fatal ->> 'exceptionClass',
             'exception_message', fatal ->> 'exceptionMessage', 'phase', fatal ->> 'phase',
             'silent_ms', silent_ms, 'held', nullif(held, '')))
      from gone)
  select id, worker_id, scheduler_id, took_from from gone`,
};

/** Registers sessions, new or returning, and tells what each holds. */
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
      superseded: older
        .filter((session) => session.worker_id === workerId)
        .map((session) => ({ sessionId: session.id, schedulerId: session.scheduler_id })),
    };
  });
}

/** Keeps a worker's startup phases and readiness. */
export async function recordStartup(
  db: Database,
  sessionId: number,
  phases: readonly StartupPhaseRecord[],
  ready: boolean,
  draining: boolean,
): Promise<void> {
  await db.cold(STARTUP, [sessionId, JSON.stringify(phases), ready, draining]);
}

/** Renews leases; tells when, and which sessions' lease is no longer this scheduler's. */
export async function renewLeases(
  db: Database,
  beats: readonly { sessionId: number; beat: HeartbeatRecord }[],
  schedulerId: string,
  leaseMs: number,
): Promise<Renewal> {
  const [row] = await db.cold<{ at: Date; lost: number[] }>(RENEW, [
    beats.map(({ sessionId }) => sessionId),
    beats.map(({ beat }) => JSON.stringify(beat)),
    schedulerId,
    leaseMs,
  ]);
  if (!row) throw new Error("the renewal of leases answered nothing");
  return row;
}

/** Ends the lease of a session whose stream dropped; the grace runs from now. */
export async function disconnect(db: Database, sessionId: number, schedulerId: string): Promise<void> {
  await db.cold(DISCONNECT, [sessionId, schedulerId]);
}

/** Ends sessions and requeues or ends what they held, in one transaction. */
export function endSessions(
  db: Database,
  ends: readonly SessionEnd[],
  decide: DecideLost,
): Promise<GoneSession[]> {
  return db.transaction(async (tx) => {
    const taken = await tx.run<TakenColumns>(TAKE, [ends.map(({ sessionId }) => sessionId)]);
    const byId = new Map(ends.map((end) => [end.sessionId, end]));
    return giveUp(
      tx,
      taken,
      (id) => byId.get(id) ?? { sessionId: id, reason: "lost", fatal: undefined },
      decide,
    );
  });
}

/**
 * Gives up sessions whose lease had ended more than the grace before `asOf`, which is not now: on a network
 * that stood still this statement may overtake the renewals that stood still with it. Safe from several
 * schedulers at once: each expired lease is taken by one.
 */
export function reapSessions(
  db: Database,
  asOf: Date,
  graceMs: number,
  limit: number,
  decide: DecideLost,
): Promise<GoneSession[]> {
  return db.transaction(async (tx) => {
    const taken = await tx.run<TakenColumns>(TAKE_EXPIRED, [asOf, graceMs, limit]);
    return giveUp(tx, taken, (sessionId) => ({ sessionId, reason: "lost", fatal: undefined }), decide);
  });
}

interface OpenedColumns extends ContestedColumns {
  known: boolean;
}

interface TakenColumns {
  session_id: number;
  silent_ms: number;
  disconnected: boolean;
  /** Its stream was up and its lease ran. Undefined when the query does not ask. */
  alive?: boolean;
}

interface GoneColumns {
  id: number;
  worker_id: string;
  scheduler_id: string;
  took_from: ProcessName | null;
}

async function giveUp(
  tx: Runner,
  taken: readonly TakenColumns[],
  endOf: (sessionId: number) => SessionEnd,
  decide: DecideLost,
): Promise<GoneSession[]> {
  if (taken.length === 0) return [];
  const ids = taken.map((row) => row.session_id);
  const ends = ids.map(endOf);
  const held = (await tx.run<AttemptColumns>(HELD_LOCKED, [ids])).map(toAttemptRow);
  const heldBy = Map.groupBy(held, ({ sessionId }) => sessionId);
  const gone = await tx.run<GoneColumns>(MARK_GONE, [
    ids,
    ends.map(({ reason }) => reason),
    ends.map(({ fatal }) => jsonParam(fatal)),
    taken.map((row) => row.silent_ms),
    ids.map((id) => namesOf(heldBy.get(id) ?? [])),
    ends.map(({ by }, index) => (taken[index]?.alive ? (by ?? null) : null)),
  ]);
  const names = new Map(gone.map((row) => [row.id, row.worker_id]));
  const takenAlive = new Set(gone.filter((row) => row.took_from).map(({ id }) => id));
  const ended = new Map(
    ends.map(({ sessionId, fatal }, index) => [
      sessionId,
      {
        workerId: names.get(sessionId) ?? `session ${sessionId}`,
        fatal,
        held: heldBy.get(sessionId) ?? [],
        takenAlive: takenAlive.has(sessionId),
        disconnected: taken[index]?.disconnected ?? false,
      },
    ]),
  );
  const decided = held.flatMap((row) => {
    const session = ended.get(row.sessionId);
    return session ? [{ row, decision: decide(row, session) }] : [];
  });
  const alone = decided.filter(({ decision }) => decision.kind === "requeue" && decision.alone);
  const aloneIds =
    alone.length > 0
      ? await aloneClasses(tx.run, [...new Set(alone.map(({ row }) => row.classId))])
      : undefined;
  await commitResultsWith(
    tx.run,
    decided.map(({ row, decision }) => ({
      key: { taskId: row.taskId, epoch: row.epoch },
      decision,
      acceptAgeMs: undefined,
      startAgeMs: undefined,
      aloneClassId: decision.kind === "requeue" && decision.alone ? aloneIds?.get(row.classId) : undefined,
    })),
  );
  const silent = new Map(taken.map((row) => [row.session_id, row.silent_ms]));
  return gone.map((row) => ({
    sessionId: row.id,
    workerId: row.worker_id,
    schedulerId: row.scheduler_id,
    endedAttempts: decided.filter(({ row: attempt }: { row: AttemptRow }) => attempt.sessionId === row.id),
    silentMs: silent.get(row.id) ?? 0,
    tookFrom: row.took_from ? processOf(row.took_from) : undefined,
  }));
}

/** Attempts that an event names; a worker has few, and the rest is counted. */
const MAX_NAMED = 50;

function namesOf(held: readonly AttemptRow[]): string {
  const named = held.slice(0, MAX_NAMED).map(formatAttemptId);
  return held.length > MAX_NAMED
    ? `${named.join(", ")} and ${held.length - MAX_NAMED} more`
    : named.join(", ");
}
