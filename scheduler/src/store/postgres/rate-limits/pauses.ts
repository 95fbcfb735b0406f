/** Pauses rate limit keys, and ends their pauses. */
import type { PausedKeys, PauseResult, RateLimitStore, WantedPause } from "../../store.ts";
import type { Database, Runner, Statement } from "../connection/database.ts";

// The key's row is locked first, then its buckets in their order, as a new class does; a claim locks buckets only.
const LOCK_KEY: Statement = {
  name: "rate-pause-lock",
  text: `select k.key, exists (
      select from session_lease where session_id = $2 and scheduler_id = $3) as lives
    from rate_key k where k.key = $1 for no key update of k`,
};

const LOCK_BUCKETS: Statement = {
  name: "rate-pause-lock-buckets",
  text: `select key from rate_bucket where key = $1
    order by overrides, limit_count, period_ms, burst for no key update`,
};

const PAUSE: Statement = {
  name: "rate-pause",
  text: `with k as (
    update rate_key
       set pause_until = now() + $2 * interval '1 ms', pause_reason = $3, pause_by = $4, pause_time = now()
     where key = $1 and (pause_until is null or pause_until < now() + $2 * interval '1 ms')
    returning key, pause_until),
  b as (update rate_bucket b set pause_until = k.pause_until from k where b.key = k.key),
  e as (
    insert into event (name, attributes)
    select 'rate_limit.paused',
           jsonb_strip_nulls(jsonb_build_object('key', key, 'reason', $3::text, 'requester', $4::text,
             'until', to_char(pause_until at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')))
      from k)
  select pg_notify('muster', '{"kind":"queue"}') from k`,
};

const LEFT: Statement = {
  name: "rate-pause-left",
  text: `select (extract(epoch from pause_until - now()) * 1000)::float8 as left_ms from rate_key where key = $1`,
};

const RESUME: Statement = {
  name: "rate-resume",
  text: `with k as (
    update rate_key set pause_until = null, pause_reason = null, pause_by = null, pause_time = null
     where key = $1 and pause_until is not null returning key),
  b as (update rate_bucket b set pause_until = null from k where b.key = k.key),
  e as (
    insert into event (name, attributes)
    select 'rate_limit.resumed', jsonb_build_object('key', key, 'reason', $2::text) from k)
  select pg_notify('muster', '{"kind":"queue"}') from k`,
};

const PAUSED: Statement = {
  name: "rate-paused",
  text: `select key, (extract(epoch from pause_until - now()) * 1000)::float8 as left_ms
    from rate_key where pause_until > now()`,
};

const PAUSES: Statement = {
  name: "rate-pauses",
  text: `select key, pause_until as until, pause_reason as reason, pause_by as by, pause_time as time,
      (extract(epoch from pause_until - now()) * 1000)::float8 as left_ms, (count(*) over ())::int as count
    from rate_key where pause_until > now() order by pause_time, key limit $1`,
};

/** Pauses a key, unless it is paused for longer; returns the pause that is in force then. */
export function pauseKey(db: Database, { key, ms, reason, by }: WantedPause): Promise<PauseResult> {
  return db.transaction(async (tx) => {
    const [row] = await tx.run<{ lives: boolean }>(LOCK_KEY, [key, by?.sessionId, by?.schedulerId]);
    if (!row) return "unknown_key";
    if (by && !row.lives) return "session_over";
    await tx.run(LOCK_BUCKETS, [key]);
    await tx.run(PAUSE, [key, ms, reason, by?.name ?? null]);
    return { leftMs: await left(tx, key) };
  });
}

async function left(tx: Runner, key: string): Promise<number> {
  const [row] = await tx.run<{ left_ms: number }>(LEFT, [key]);
  return row?.left_ms ?? 0;
}

/** Ends the pause of a key; false when there is no such key. */
export function resumeKey(db: Database, key: string, reason: string): Promise<boolean> {
  return db.transaction(async (tx) => {
    const rows = await tx.run(LOCK_KEY, [key, null, null]);
    if (rows.length === 0) return false;
    await tx.run(LOCK_BUCKETS, [key]);
    await tx.run(RESUME, [key, reason]);
    return true;
  });
}

/** Keys that are paused. */
export async function pausedKeys(db: Database): ReturnType<RateLimitStore["pausedKeys"]> {
  const rows = await db.cold<{ key: string; left_ms: number }>(PAUSED, []);
  return rows.map(({ key, left_ms }) => ({ key, leftMs: left_ms }));
}

interface PauseColumns {
  key: string;
  until: Date;
  reason: string;
  by: string | null;
  time: Date;
  left_ms: number;
  count: number;
}

/** The pauses of keys, those that began first. */
export async function keyPauses(db: Database, limit: number): Promise<PausedKeys> {
  const rows = await db.cold<PauseColumns>(PAUSES, [limit]);
  return {
    count: rows[0]?.count ?? 0,
    pauses: rows.map(({ key, until, reason, by, time, left_ms }) => ({
      ...{ key, until, reason, time },
      by: by ?? undefined,
      leftMs: left_ms,
    })),
  };
}
