/** Contested worker ids: two living processes that register with the same one. */
import {
  CONTEST_WINDOW_MS,
  type Contest,
  type Contested,
  FIRST_TENURE_MS,
  LAST_TENURE_MS,
  type ProcessName,
} from "../../../domain/workers/contest.ts";
import type { SessionOpen } from "../../store.ts";
import type { Database, Statement } from "../connection/database.ts";

/** Takeovers of a worker id from a living process within the window, among its newest 50 sessions. */
function takeoversOf(workerId: string): string {
  return `select count(*)::int as takeovers, extract(epoch from now() - max(r.gone_time))::float8 * 1000 as held_ms
         from (select gone_time, superseded_by from worker_session where worker_id = ${workerId}
                order by id desc limit 50) r
        where r.superseded_by is not null and r.gone_time > now() - ${CONTEST_WINDOW_MS} * interval '1 ms'`;
}

/** How long a holder keeps a contested worker id, milliseconds; doubles with every takeover. */
const TENURE = `least(${LAST_TENURE_MS}, ${FIRST_TENURE_MS} * power(2, least(t.takeovers, 20) - 1))`;

/**
 * Part of a statement that registers `input`: those of it whose worker id a living process keeps for now. A
 * session that is registered already only reconnects, and a draining process gives way to a successor.
 */
export const CONTESTED = `  contested as materialized (
    select d.uuid, h.id as holder_id, h.host, t.takeovers, t.held_ms, ${TENURE} - t.held_ms as left_ms
      from input d
     cross join lateral (
       select s.id, s.hello -> 'host' as host from worker_session s join session_lease l on l.session_id = s.id
        where s.worker_id = d.worker_id and s.uuid <> d.uuid and s.gone_time is null and not s.draining
          and not l.disconnected and l.lease_until > now()
        order by s.id desc limit 1) h
     cross join lateral (${takeoversOf("d.worker_id")}) t
     where t.takeovers > 0 and t.held_ms < ${TENURE}
       and not exists (select from worker_session own where own.uuid = d.uuid and own.gone_time is null))`;

const CHALLENGED: Statement = {
  name: "session-challenged",
  text: `update worker_session s set challenger = d.challenger::jsonb, challenge_time = now()
    from (select * from unnest($1::bigint[], $2::text[]) as d(id, challenger) order by id) d
   where s.id = d.id`,
};

const CONTESTS: Statement = {
  name: "session-contests",
  text: `select s.worker_id, now_held.host as holder, s.hello -> 'host' as before, s.challenger, s.challenge_time,
         t.takeovers
    from (
      select distinct on (worker_id) * from worker_session
       where challenge_time > now() - $2 * interval '1 ms' and ($1::text is null or worker_id = $1)
       order by worker_id, challenge_time desc) s
   cross join lateral (
     select l.hello -> 'host' as host from worker_session l
      where l.worker_id = s.worker_id and l.gone_time is null order by l.id desc limit 1) now_held
   cross join lateral (${takeoversOf("s.worker_id")}) t
   order by s.challenge_time desc limit $3`,
};

/** The row of a registration; `host` and the columns after it are null unless it has to wait. */
export interface ContestedColumns {
  /** The new session, or the holder's. */
  id: number;
  uuid: string;
  host: ProcessName | null;
  takeovers: number | null;
  held_ms: number | null;
  left_ms: number | null;
}

/** Why a registration has to wait; undefined when it does not. */
export function toContested({ host, takeovers, held_ms, left_ms }: ContestedColumns): Contested | undefined {
  if (!host) return undefined;
  return { holder: processOf(host), takeovers: takeovers ?? 0, heldMs: held_ms ?? 0, leftMs: left_ms ?? 0 };
}

/** Stores with the holders' sessions which processes were made to wait. */
export async function noteChallengers(
  db: Database,
  rows: readonly ContestedColumns[],
  opens: readonly SessionOpen[],
): Promise<void> {
  const waiting = rows.filter(({ host }) => host !== null);
  if (waiting.length === 0) return;
  const hosts = new Map(opens.map(({ uuid, hello }) => [uuid.toLowerCase(), hello.host]));
  await db.cold(CHALLENGED, [
    waiting.map(({ id }) => id),
    waiting.map(({ uuid }) => JSON.stringify(processOf(hosts.get(uuid)))),
  ]);
}

/** Contested worker ids, of one worker or of all, for which a process was made to wait within `withinMs`. */
export async function listContests(
  db: Database,
  options: { workerId: string | undefined; withinMs: number; limit: number },
): Promise<Contest[]> {
  const rows = await db.cold<{
    worker_id: string;
    holder: ProcessName;
    before: ProcessName;
    challenger: ProcessName;
    challenge_time: Date;
    takeovers: number;
  }>(CONTESTS, [options.workerId ?? null, options.withinMs, options.limit]);
  return rows.map((row) => {
    const [holder, challenger] = [processOf(row.holder), processOf(row.challenger)];
    const won = holder.hostname === challenger.hostname && holder.pid === challenger.pid;
    return {
      workerId: row.worker_id,
      holder,
      other: won ? processOf(row.before) : challenger,
      waits: !won,
      askedTime: row.challenge_time,
      takeovers: row.takeovers,
    };
  });
}

/** Machine and pid of a hello's host. */
export function processOf(host: ProcessName | undefined): ProcessName {
  return { hostname: host?.hostname ?? "", pid: host?.pid ?? 0 };
}
