/** Leases of pools for launchers, and what launchers receive and report. */
import type {
  LauncherClaim,
  LaunchToSend,
  ListedPoolLaunch,
  ObservedResult,
  PoolLaunchFilter,
  PoolStore,
  StopToSend,
} from "../../pools.ts";
import { textArray } from "../arrays.ts";
import type { Database, Statement } from "../connection/database.ts";
import { LAUNCH_FIELDS, type PoolLaunchColumns, toPoolLaunch } from "./pool-rows.ts";

// A newer process of the same launcher takes over at once: both find the same launches on their engine. A launcher that is
// gone keeps its pools until the lease is over.
const LEASE: Statement = {
  name: "pool-lease",
  text: `update pool
      set launcher_id = $1, launcher_session = $2, launcher_host = $3, launcher_until = now() + $7::float8 * interval '1 ms'
    where spec #>> '{template,driver}' = any($4::text[]) and (cardinality($5::text[]) = 0 or name = any($5::text[]))
      and (launcher_id is null or launcher_until < now() or launcher_session = $2 or ($6::boolean and launcher_id = $1))
    returning name`,
};

const RELEASE: Statement = {
  name: "pool-release",
  text: "update pool set launcher_until = now() where launcher_session = $1 and launcher_until > now()",
};

// Only the process that has the lease now: one that lost it starts nothing. A launch has the template with which it was decided;
// the launcher cannot start one of another driver. A launch that a launcher has received stays with
// it, because it may have started it.
const TEMPLATE = `coalesce(
    (select t.template from pool_template t where t.pool = q.pool and t.version = q.template_version), p.spec -> 'template')`;

const TAKE: Statement = {
  name: "pool-take-launches",
  text: `update pool_launch q
      set launcher_id = $1, send_time = coalesce(q.send_time, now())
     from pool p
    where p.name = q.pool and p.launcher_session = $2 and p.launcher_until > now()
      and q.pool = any($3::text[]) and q.end_time is null and q.stop is null
      and (q.launcher_id is null or q.launcher_id = $1) and q.launch_id <> all($4::text[])
      -- What has run and is gone was removed while no launcher looked: it is not started a second time.
      and q.ready_time is null and coalesce(q.observation ->> 'phase', 'pending') = 'pending'
      and ${TEMPLATE} ->> 'driver' = p.spec #>> '{template,driver}'
    returning q.launch_id, q.pool, jsonb_set(p.spec, '{template}', ${TEMPLATE}) as spec`,
};

const STOPS: Statement = {
  name: "pool-launch-stops",
  text: `select launch_id, stop ->> 'reason' as reason, (stop ->> 'endMs')::float8 as end_ms from pool_launch
    where launcher_id = $1 and end_time is null and stop ? 'endMs' order by id`,
};

const ENDED: Statement = {
  name: "pool-launches-ended",
  text: "select launch_id from pool_launch where launch_id = any($1::text[]) and end_time is not null",
};

const OBSERVE: Statement = {
  name: "pool-observe",
  text: `with d as (
    select * from unnest($2::text[], $3::text[]) as d(launch_id, observation)),
  seen as (
    update pool_launch q
       set observation = d.observation::jsonb, observe_time = now(), launcher_id = $1, send_time = coalesce(q.send_time, now())
      from d where q.launch_id = d.launch_id and q.end_time is null
    returning q.launch_id)
  select d.launch_id, q.launch_id is not null as known, q.end_time is not null as ended
    from d left join pool_launch q on q.launch_id = d.launch_id`,
};

const LIST: Statement = {
  name: "pool-launch-list",
  text: `select ${LAUNCH_FIELDS} from pool_launch q
    where ($1::text is null or q.pool = $1) and (not $2::boolean or q.end_time is null) and ($3::bigint is null or q.id < $3)
    order by q.id desc limit $4`,
};

export async function leasePools(
  db: Database,
  { launcherId, session, hostname, drivers, pools, first }: LauncherClaim,
  leaseMs: number,
): Promise<string[]> {
  const rows = await db.cold<{ name: string }>(LEASE, [
    launcherId,
    session,
    hostname,
    drivers,
    pools,
    first,
    leaseMs,
  ]);
  return rows.map(({ name }) => name).sort();
}

export async function releasePools(db: Database, session: string): Promise<void> {
  await db.cold(RELEASE, [session]);
}

export async function takeLaunches(
  db: Database,
  launcherId: string,
  session: string,
  pools: readonly string[],
  sent: readonly string[],
): Promise<LaunchToSend[]> {
  if (pools.length === 0) return [];
  const rows = await db.cold<{ launch_id: string; pool: string; spec: LaunchToSend["spec"] }>(TAKE, [
    launcherId,
    session,
    pools,
    sent,
  ]);
  return rows.map(({ launch_id: launchId, pool, spec }) => ({ launchId, pool, spec }));
}

export async function launchStops(db: Database, launcherId: string): Promise<StopToSend[]> {
  const rows = await db.cold<{ launch_id: string; reason: string; end_ms: number }>(STOPS, [launcherId]);
  return rows.map(({ launch_id: launchId, reason, end_ms: endMs }) => ({ launchId, reason, endMs }));
}

export async function endedLaunches(db: Database, launchIds: readonly string[]): Promise<string[]> {
  if (launchIds.length === 0) return [];
  const rows = await db.cold<{ launch_id: string }>(ENDED, [launchIds]);
  return rows.map(({ launch_id: launchId }) => launchId);
}

export async function observeLaunches(
  db: Database,
  launcherId: string,
  observations: Parameters<PoolStore["observeLaunches"]>[1],
): Promise<ObservedResult> {
  if (observations.length === 0) return { unknown: [], ended: [] };
  const latest = [...new Map(observations.map((each) => [each.launchId, each])).values()];
  const rows = await db.cold<{ launch_id: string; known: boolean; ended: boolean }>(OBSERVE, [
    launcherId,
    textArray(latest.map(({ launchId }) => launchId)),
    textArray(latest.map(({ launchId: _, ...observation }) => JSON.stringify(observation))),
  ]);
  return {
    unknown: rows.flatMap(({ launch_id, known }) => (known ? [] : [launch_id])),
    ended: rows.flatMap(({ launch_id, ended }) => (ended ? [launch_id] : [])),
  };
}

export async function listPoolLaunches(
  db: Database,
  { pool, open, beforeRow, limit }: PoolLaunchFilter,
): Promise<ListedPoolLaunch[]> {
  const rows = await db.cold<PoolLaunchColumns>(LIST, [pool ?? null, open, beforeRow ?? null, limit]);
  return rows.map((row) => ({ row: row.row_id, launch: toPoolLaunch(row) }));
}
