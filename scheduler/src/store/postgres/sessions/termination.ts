/** Ends sessions, by request or because their lease and grace ran out, with the attempts that they held. */
import { formatAttemptId } from "../../../domain/ids.ts";
import { LOSSES_WITHIN_MS } from "../../../domain/tasks/outcome/blame.ts";
import type { ProcessName } from "../../../domain/workers/contest.ts";
import type {
  AttemptRow,
  DecideLost,
  ExpiredLeases,
  GoneSession,
  ObservedSession,
  SessionEnd,
} from "../../store.ts";
import { jsonParam } from "../arrays.ts";
import { LOCK_KEYS } from "../concurrency/held-keys.ts";
import type { Database, Runner, Statement } from "../connection/database.ts";
import { type AttemptColumns, toAttemptRow } from "../tasks/attempt-columns.ts";
import { aloneClasses } from "../tasks/classes.ts";
import { commitResultsWith } from "../tasks/commit.ts";
import { processOf } from "./contests.ts";
import { HELD, HELD_LOCKED } from "./held.ts";

// When the clock has been set back since, other schedulers' renewals are earlier than the last one of this scheduler.
const EXPIRED =
  "lease_until < least($1::timestamptz, now()) - $2::float8 * interval '1 ms' and ($3::text is null or scheduler_id = $3)";

// Mostly there is none: one round trip instead of the three of the transaction.
const HAS_EXPIRED: Statement = {
  name: "session-has-expired",
  text: `select exists (
      select from session_lease where ${EXPIRED}) as found`,
};

// Attempts whose handlers waited without their slots ended no process; of one that did so since the heartbeat it is not known.
const WAITING =
  "jsonb_path_query_array(l.heartbeat, '$.running[*] ? (exists (@.slotRelease)).attemptId') as waiting";

const TAKE_EXPIRED: Statement = {
  name: "session-take-expired",
  text: `delete from session_lease l
   where l.session_id in (
     select session_id from session_lease
      where ${EXPIRED}
      order by lease_until limit $4 for update skip locked)
  returning l.session_id, extract(epoch from now() - l.heartbeat_time)::float8 * 1000 as silent_ms, l.disconnected, ${WAITING}`,
};

// A lease that was renewed since has another end, and counts as another loss.
const OBSERVE_EXPIRED: Statement = {
  name: "session-observe-expired",
  text: `with seen as (
    update session_lease l set observed_lease = l.lease_until
     where l.session_id in (
       select session_id from session_lease
        where ${EXPIRED}
          and observed_lease is distinct from lease_until
        order by lease_until limit $4 for update skip locked)
    returning l.session_id, extract(epoch from now() - l.heartbeat_time)::float8 * 1000 as silent_ms)
  select seen.session_id, s.worker_id, seen.silent_ms from seen join worker_session s on s.id = seen.session_id`,
};

const TAKE: Statement = {
  name: "session-take",
  text: `delete from session_lease l
   where l.session_id in (
     select session_id from session_lease where session_id = any($1::bigint[]) order by session_id for update)
  returning l.session_id, extract(epoch from now() - l.heartbeat_time)::float8 * 1000 as silent_ms, l.disconnected,
    (not l.disconnected and l.lease_until > now()) as alive, ${WAITING}`,
};

// A worker whose fatal report was not answered in time sends it again on a new stream, which opens the ended session once
// more: its end and what it held stand in the event of the first report. A process that an operator asked to end is read
// from its launch: its supervisor may report the end only after the lease.
const MARK_GONE: Statement = {
  name: "session-mark-gone",
  text: `with gone as (
    update worker_session s set gone_time = now(), gone_reason = d.reason, fatal = coalesce(d.fatal::jsonb, s.fatal),
           superseded_by = case when not s.draining then d.by end
      from unnest($1::bigint[], $2::text[], $3::text[], $4::float8[], $5::text[], $6::bigint[])
        as d(id, reason, fatal, silent_ms, held, by)
      join worker_session old on old.id = d.id
     where s.id = d.id and s.gone_time is null
    returning s.id, d.reason = 'fatal' and d.held = '' and old.fatal is not null as reported, s.worker_id, s.scheduler_id, s.gone_reason, s.fatal, round(d.silent_ms)::text as silent_ms, d.held,
      case when s.superseded_by is not null then s.hello -> 'host' end as took_from,
      exists (select from launch a where a.launch_id = s.launch_id
        and (a.stop is not null or a.facts #> '{notice,endAfterMs}' is not null)) as kill_requested),
  ev as (
    insert into event (name, session_id, worker_id, attributes)
    select case when gone_reason = 'lost' then 'worker.lost' when gone_reason = 'fatal' then 'worker.fatal'
                else 'worker.gone' end, id, worker_id,
           jsonb_strip_nulls(jsonb_build_object('reason', gone_reason, 'exception_class', fatal ->> 'exceptionClass',
             'exception_message', fatal ->> 'exceptionMessage', 'phase', fatal ->> 'phase',
             'silent_ms', silent_ms, 'held', nullif(held, '')))
      from gone where not reported)
  select id, worker_id, scheduler_id, took_from, kill_requested from gone`,
};

// Planned stops drain first; a session whose id was taken while it lived has `superseded_by`. A worker that restarts every
// second has many rows, of which the newest are enough.
const LOSSES: Statement = {
  name: "session-losses",
  text: `select w.id as worker_id, count(s.*)::int as count
    from (select distinct d.id from unnest($1::text[]) as d(id)) w
   cross join lateral (
     select s.* from worker_session s where s.worker_id = w.id order by s.id desc limit 20) s
   where s.id <> all($2::bigint[]) and not s.draining and s.superseded_by is null
     and s.gone_reason in ('lost', 'fatal', 'killed', 'oom_killed', 'superseded')
     and s.gone_time > now() - ${LOSSES_WITHIN_MS} * interval '1 ms'
   group by w.id`,
};

/** Ends sessions and requeues or ends what they held, in one transaction. */
export function endSessions(
  db: Database,
  ends: readonly SessionEnd[],
  decide: DecideLost,
): Promise<GoneSession[]> {
  return db.batchTransaction(async (tx) => {
    const taken = await tx.run<TakenColumns>(TAKE, [ends.map(({ sessionId }) => sessionId)]);
    const byId = new Map(ends.map((end) => [end.sessionId, end]));
    return endTaken(
      tx,
      taken,
      (id) => byId.get(id) ?? { sessionId: id, reason: "lost", fatal: undefined },
      decide,
    );
  });
}

/**
 * Ends sessions whose lease had ended more than the grace before `asOf`, which is earlier than now: after a network
 * stall this statement may overtake renewals that the stall delayed. Safe from several schedulers at once: each expired
 * lease is taken by one.
 */
export async function reapSessions(
  db: Database,
  { asOf, graceMs, heldBy }: ExpiredLeases,
  limit: number,
  decide: DecideLost,
): Promise<GoneSession[]> {
  const which = [asOf, graceMs, heldBy];
  const [expired] = await db.hotRetrying<{ found: boolean }>(HAS_EXPIRED, which);
  if (!expired?.found) return [];
  return db.batchTransaction(async (tx) => {
    const taken = await tx.run<TakenColumns>(TAKE_EXPIRED, [...which, limit]);
    return endTaken(tx, taken, (sessionId) => ({ sessionId, reason: "lost", fatal: undefined }), decide);
  });
}

/** Records that leases have expired, each once, and returns what the sessions hold; ends nothing. */
export function observeExpired(
  db: Database,
  { asOf, graceMs, heldBy }: ExpiredLeases,
  limit: number,
): Promise<ObservedSession[]> {
  return db.transaction(async (tx) => {
    const seen = await tx.run<{ session_id: number; worker_id: string; silent_ms: number }>(OBSERVE_EXPIRED, [
      asOf,
      graceMs,
      heldBy,
      limit,
    ]);
    if (seen.length === 0) return [];
    const held = (await tx.run<AttemptColumns>(HELD, [seen.map((row) => row.session_id)])).map(toAttemptRow);
    const bySession = Map.groupBy(held, ({ sessionId }) => sessionId);
    return seen.map((row) => ({
      sessionId: row.session_id,
      workerId: row.worker_id,
      silentMs: row.silent_ms,
      held: bySession.get(row.session_id) ?? [],
    }));
  });
}

interface TakenColumns {
  session_id: number;
  silent_ms: number;
  disconnected: boolean;
  /** Attempts that waited without their slots, by its last heartbeat; null when it has sent none. */
  waiting: readonly string[] | null;
  /** Its stream was connected and its lease not expired. Missing in the query of expired leases. */
  alive?: boolean;
}

interface GoneColumns {
  id: number;
  worker_id: string;
  scheduler_id: string;
  took_from: ProcessName | null;
  kill_requested: boolean;
}

async function endTaken(
  tx: Runner,
  taken: readonly TakenColumns[],
  endOf: (sessionId: number) => SessionEnd,
  decide: DecideLost,
): Promise<GoneSession[]> {
  if (taken.length === 0) return [];
  const ids = taken.map((row) => row.session_id);
  const ends = ids.map(endOf);
  const waiting = new Set(taken.flatMap((row) => row.waiting ?? []));
  const held = (await tx.run<AttemptColumns>(HELD_LOCKED, [ids])).map((columns): AttemptRow => {
    const row = toAttemptRow(columns);
    return waiting.has(formatAttemptId(row)) ? { ...row, waits: true } : row;
  });
  const keyedClasses = new Set(held.flatMap(({ keyed, classId }) => (keyed ? [classId] : [])));
  // The attempts may end by several statements: each of them finds its keys locked, in whatever order it comes.
  if (keyedClasses.size > 0) await tx.run(LOCK_KEYS, [[...keyedClasses]]);
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
  const killRequested = new Set(gone.flatMap((row) => (row.kill_requested ? [row.id] : [])));
  const losses = await lossesBefore(tx, held.length > 0 ? gone : []);
  // Also of one that drained: its takeover is planned.
  const takenAlive = new Set(ids.filter((_, index) => taken[index]?.alive && ends[index]?.by !== undefined));
  const ended = new Map(
    ends.map(({ sessionId, fatal }, index) => [
      sessionId,
      {
        workerId: names.get(sessionId) ?? `session ${sessionId}`,
        fatal,
        held: heldBy.get(sessionId) ?? [],
        takenAlive: takenAlive.has(sessionId),
        disconnected: taken[index]?.disconnected ?? false,
        killRequested: killRequested.has(sessionId),
        lossesBefore: losses.get(names.get(sessionId) ?? "") ?? 0,
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
      keyed: row.keyed,
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

/** Earlier losses by worker id; ids without any are missing. */
async function lossesBefore(tx: Runner, gone: readonly GoneColumns[]): Promise<ReadonlyMap<string, number>> {
  if (gone.length === 0) return new Map();
  const rows = await tx.run<{ worker_id: string; count: number }>(LOSSES, [
    gone.map((row) => row.worker_id),
    gone.map(({ id }) => id),
  ]);
  return new Map(rows.map((row) => [row.worker_id, row.count]));
}

/** Attempts that an event lists; a worker has few, and the rest is counted. */
const MAX_NAMED = 50;

function namesOf(held: readonly AttemptRow[]): string {
  const named = held.slice(0, MAX_NAMED).map(formatAttemptId);
  return held.length > MAX_NAMED
    ? `${named.join(", ")} and ${held.length - MAX_NAMED} more`
    : named.join(", ");
}
