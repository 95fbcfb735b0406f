/** Reads the rows of pools and of their launches. */
import { DEFAULT_MAX_UNACCEPTED } from "../../../domain/pools/guard.ts";
import type { PoolRecord } from "../../../domain/pools/pool.ts";
import type {
  KnownLaunch,
  LaunchEndRecord,
  LaunchObservation,
  PoolLaunch,
  PoolStop,
} from "../../../domain/pools/pool-launch.ts";
import { DEFAULT_ROLLOUT, NO_ROLLOUT } from "../../../domain/pools/rollout-record.ts";
import { usualStart } from "../../../domain/pools/scale.ts";
import { type CompletionRecord, recentCount } from "../../../domain/workers/completions.ts";
import type { StartupPhaseRecord } from "../../../domain/workers/process-reports.ts";
import type { KnownPool } from "../../pools.ts";
import type { Runner, Statement } from "../connection/database.ts";
import { LAUNCH_COLUMNS, type LaunchColumns, toLaunch } from "../fleet/fleet.ts";

/** A time of a column in whole milliseconds since the epoch. */
export const ms = (time: string): string => `floor(extract(epoch from ${time}) * 1000)::float8`;

/** Launches whose time to become ready is read. */
const STARTS = 20;

export const POOL_COLUMNS = `p.name, p.spec, p.version::float8 as version, p.template_version::float8 as template_version,
  ${ms("p.create_time")} as create_ms, ${ms("p.update_time")} as update_ms, p.pause, p.deletion, p.memory, p.rollout, p.launcher_id,
  p.launcher_session, p.launcher_host, ${ms("p.launcher_until")} as until_ms`;

const USUAL = `array(select ${ms("r.ready_time")} - ${ms("coalesce(r.send_time, r.order_time)")}
    from (select * from pool_launch r where r.pool = p.name and r.ready_time is not null order by r.id desc limit ${STARTS}) r) as starts`;

const LIST: Statement = {
  name: "pool-list",
  text: `select ${POOL_COLUMNS}, ${USUAL} from pool p
    where ($1::text is null or p.name > $1) and ($2::text is null or p.name = $2) order by p.name limit $3`,
};

export const LAUNCH_FIELDS = `q.id::float8 as row_id, q.launch_id as pool_launch_id, q.pool, q.template_version::float8 as template_version, q.reason, q.probe,
  ${ms("q.order_time")} as order_ms, q.launcher_id, ${ms("q.send_time")} as send_ms, q.observation, ${ms("q.observe_time")} as observe_ms,
  ${ms("q.ready_time")} as ready_ms, q.stop as pool_stop, ${ms("q.end_time")} as ended_ms, q.ending`;

// The newest session of the process, and what its supervisor reported. Heartbeats are as old as their interval: who is drained
// keeps what it holds, so a stop that rests on one loses nothing.
const OPEN: Statement = {
  name: "pool-open-launches",
  text: `select ${LAUNCH_FIELDS}, ${LAUNCH_COLUMNS}, a.log_tail, s.id as session_id, s.ready, s.draining, s.phases as session_phases,
      s.hello ->> 'buildId' as build,
      ${ms("s.gone_time")} as gone_ms, s.gone_reason,
      coalesce(l.lease_until > now() and not l.disconnected, false) as live,
      coalesce(jsonb_array_length(l.heartbeat -> 'running'), 0) as held,
      (l.heartbeat #>> '{seen,idleMs}')::float8 as idle_ms, l.heartbeat #> '{seen,completed}' as completed,
      coalesce((l.heartbeat #>> '{seen,unaccepted}')::int, 0) as unaccepted, coalesce((l.heartbeat ->> 'loopAgeMs')::float8, 0) as loop_age_ms,
      coalesce(jsonb_path_exists(l.heartbeat, '$.seen.held[*] ? (@.stage != "assigned")'), false) as accepted,
      ${ms("now()")} - ${ms("l.heartbeat_time")} as heartbeat_age_ms,
      coalesce((select f.message from worker_refusal f where f.worker_id = q.launch_id and s.id is null
         order by f.last_time desc limit 1), '') as rejection
    from pool_launch q
    left join lateral (select * from worker_session s where s.launch_id = q.launch_id order by s.id desc limit 1) s on true
    left join session_lease l on l.session_id = s.id
    left join launch a on a.launch_id = q.launch_id
   where q.end_time is null and ($1::text[] is null or q.pool = any($1::text[]))
   order by q.id`,
};

const NOW: Statement = { name: "pool-now", text: `select ${ms("clock_timestamp()")} as now_ms` };

/** A row of `pool`. */
export interface PoolColumns {
  readonly name: string;
  readonly spec: PoolRecord["spec"];
  readonly version: number;
  readonly template_version: number;
  readonly create_ms: number;
  readonly update_ms: number;
  readonly pause: PoolRecord["pause"] | null;
  readonly deletion: PoolRecord["deletion"] | null;
  readonly memory: PoolRecord["memory"];
  readonly rollout: PoolRecord["rollout"] | null;
  readonly launcher_id: string | null;
  readonly launcher_session: string | null;
  readonly launcher_host: string | null;
  readonly until_ms: number | null;
}

/** A row of `pool_launch`. */
export interface PoolLaunchColumns {
  readonly row_id: number;
  readonly pool_launch_id: string;
  readonly pool: string;
  readonly template_version: number;
  readonly reason: string;
  readonly probe: boolean;
  readonly order_ms: number;
  readonly launcher_id: string | null;
  readonly send_ms: number | null;
  readonly observation: Omit<LaunchObservation, "atMs"> | null;
  readonly observe_ms: number | null;
  readonly ready_ms: number | null;
  readonly pool_stop: PoolStop | null;
  readonly ended_ms: number | null;
  readonly ending: Omit<LaunchEndRecord, "atMs"> | null;
}

interface KnownColumns {
  readonly launch_row: number | null;
  readonly session_id: number | null;
  readonly build: string | null;
  readonly ready: boolean;
  readonly draining: boolean;
  readonly session_phases: StartupPhaseRecord[];
  readonly gone_ms: number | null;
  readonly gone_reason: string | null;
  readonly live: boolean;
  readonly held: number;
  readonly idle_ms: number | null;
  readonly completed: CompletionRecord | null;
  readonly heartbeat_age_ms: number | null;
  readonly unaccepted: number;
  readonly loop_age_ms: number;
  readonly accepted: boolean;
  readonly rejection: string;
}

/** The database's clock, milliseconds since the epoch. */
export async function databaseNowMs(runner: Runner): Promise<number> {
  const [row] = await runner.run<{ now_ms: number }>(NOW, []);
  if (!row) throw new Error("the statement of the database's time returned no row");
  return row.now_ms;
}

/** Pools with their open launches, by name. */
export async function readPools(
  runner: Runner,
  { afterName, name, limit }: { afterName?: string | undefined; name?: string | undefined; limit: number },
): Promise<KnownPool[]> {
  const rows = await runner.run<PoolColumns & { starts: number[] }>(LIST, [
    afterName ?? null,
    name ?? null,
    limit,
  ]);
  if (rows.length === 0) return [];
  const open = Map.groupBy(
    await readOpen(
      runner,
      rows.map((row) => row.name),
    ),
    ({ launch }) => launch.pool,
  );
  return rows.map((row) => ({
    pool: toPool(row),
    open: open.get(row.name) ?? [],
    usualStartMs: usualStart(row.starts),
  }));
}

/** The launches of these pools that have not ended, oldest first. */
async function readOpen(runner: Runner, pools: readonly string[]): Promise<KnownLaunch[]> {
  const rows = await runner.run<PoolLaunchColumns & KnownColumns>(OPEN, [pools]);
  return rows.map((row) => ({
    launch: toPoolLaunch(row),
    session:
      row.session_id === null
        ? undefined
        : {
            id: row.session_id,
            build: row.build ?? "",
            ready: row.ready,
            draining: row.draining,
            live: row.live && row.gone_ms === null,
            phases: row.session_phases,
            goneMs: row.gone_ms ?? undefined,
            goneReason: row.gone_reason ?? "",
            held: row.held,
            idleMs: row.idle_ms === null ? undefined : row.idle_ms + Math.max(0, row.heartbeat_age_ms ?? 0),
            unaccepted: row.unaccepted,
            loopAgeMs: row.loop_age_ms,
            accepted: row.accepted,
            recentCompletions: row.completed ? recentCount(row.completed, row.heartbeat_age_ms ?? 0) : 0,
          },
    supervised: row.launch_row === null ? undefined : toLaunch(row as unknown as LaunchColumns),
    rejection: row.rejection,
  }));
}

/** A pool from its row. */
export function toPool(row: PoolColumns): PoolRecord {
  return {
    // A spec that an older scheduler stored has no such rules.
    spec: {
      ...row.spec,
      rollout: row.spec.rollout ?? DEFAULT_ROLLOUT,
      guard: { ...row.spec.guard, maxUnaccepted: row.spec.guard.maxUnaccepted ?? DEFAULT_MAX_UNACCEPTED },
    },
    version: row.version,
    templateVersion: row.template_version,
    createMs: row.create_ms,
    updateMs: row.update_ms,
    pause: row.pause ?? undefined,
    deletion: row.deletion ?? undefined,
    memory: row.memory,
    rollout: row.rollout ?? NO_ROLLOUT,
    launcher:
      row.launcher_id === null
        ? undefined
        : {
            id: row.launcher_id,
            session: row.launcher_session ?? "",
            hostname: row.launcher_host ?? "",
            untilMs: row.until_ms ?? 0,
          },
  };
}

/** A launch from its row. */
export function toPoolLaunch(row: PoolLaunchColumns): PoolLaunch {
  return {
    launchId: row.pool_launch_id,
    pool: row.pool,
    workerId: row.pool_launch_id,
    templateVersion: row.template_version,
    reason: row.reason,
    probe: row.probe,
    orderMs: row.order_ms,
    launcherId: row.launcher_id ?? undefined,
    sendMs: row.send_ms ?? undefined,
    observation: row.observation ? { ...row.observation, atMs: row.observe_ms ?? 0 } : undefined,
    readyMs: row.ready_ms ?? undefined,
    stop: row.pool_stop ?? undefined,
    end: row.ending && row.ended_ms !== null ? { ...row.ending, atMs: row.ended_ms } : undefined,
  };
}
