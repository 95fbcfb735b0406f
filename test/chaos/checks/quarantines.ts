/** Compares quarantines with their rules: never the last worker of a class, single probes, work after the end. */
import type { TestDatabase } from "../../support/database/postgres.ts";
import type { Trouble } from "../chaos-workers.ts";
import { SOLE } from "../limits.ts";

/** The end of a quarantine as a scheduler logged it. */
export interface LoggedEnd {
  readonly worker: string;
  readonly atMs: number;
}

export interface QuarantineFindings {
  readonly quarantines: number;
  readonly quarantineProbes: number;
  /** Quarantines of workers that no other one could replace. */
  readonly lastQuarantined: number;
  /** Moments at which a quarantined worker had more than one attempt that was assigned in the quarantine. */
  readonly doubleProbes: number;
  /** Workers that got nothing after the end of their quarantine. */
  readonly neverBack: number;
}

/** A claim that was planned before a quarantine is committed within this, unless the database is away: then it is later. */
const CLAIM_MS = 2_000;

/** A worker that is free again gets a task within this, milliseconds, while others get as many. */
const BACK_MS = 10_000;
const BUSY = 100;

interface Interval extends Record<string, unknown> {
  session_id: number;
  worker_id: string;
  from_ms: number;
  /** By its event, or the end of the session; null while it lasts. */
  to_ms: number | null;
  ended: boolean;
  gone_ms: number | null;
  others: number;
  sole_served: boolean;
}

interface AttemptRow extends Record<string, unknown> {
  attempt: string;
  session_id: number;
  from_ms: number;
  to_ms: number;
}

const ms = (column: string) => `(extract(epoch from ${column}) * 1000)::float8`;

/** The events of a session are written in their order by the scheduler that holds its stream. */
const INTERVALS = `
  with q as (
    select b.id, b.session_id, b.worker_id, b.time as from_time, e.time as end_time, s.gone_time
      from event b join worker_session s on s.id = b.session_id
      left join lateral (
        select time from event e where e.session_id = b.session_id and e.name = 'worker.quarantine_ended' and e.id > b.id
         order by e.id limit 1) e on true
     where b.name = 'worker.quarantined')
  select q.session_id, q.worker_id, ${ms("q.from_time")} as from_ms, ${ms("least(q.end_time, q.gone_time)")} as to_ms,
         q.end_time is not null as ended, ${ms("q.gone_time")} as gone_ms,
         (select count(*)::int from worker_session o
           where o.worker_id <> q.worker_id and coalesce(o.gone_time, 'infinity') > q.from_time
             and exists (select from event r where r.session_id = o.id and r.name = 'worker.registered' and r.id < q.id)
             and not exists (select from q other where other.session_id = o.id and other.id < q.id
                                and coalesce(other.end_time, 'infinity') > q.from_time)) as others,
         exists (select from task_finished f join task_class c on c.id = f.class_id
                  where c.type = '${SOLE.type}' and f.create_time < q.from_time - interval '2 s') as sole_served
    from q order by q.id`;

const ATTEMPTS = `
  select 't-' || id || '.' || epoch as attempt, session_id, ${ms("assign_time")} as from_ms, ${ms("finish_time")} as to_ms
    from task_finished where session_id is not null and assign_time is not null
  union all
  select 't-' || task_id || '.' || epoch, session_id, ${ms("assign_time")}, ${ms("end_time")}
    from task_attempt where session_id is not null and assign_time is not null`;

export async function checkQuarantines(
  db: Pick<TestDatabase, "query">,
  logged: readonly LoggedEnd[],
  troubles: readonly Trouble[],
  violations: string[],
): Promise<QuarantineFindings> {
  const intervals = await db.query<Interval>(INTERVALS);
  const attempts = await db.query<AttemptRow>(ATTEMPTS);
  const bySession = Map.groupBy(attempts, ({ session_id }) => session_id);
  const assigned = attempts.map(({ from_ms }) => from_ms).sort((a, b) => a - b);
  const between = (from: number, to: number) => assigned.filter((at) => at > from && at <= to).length;
  const findings = { quarantines: intervals.length, quarantineProbes: 0, lastQuarantined: 0 };
  let doubleProbes = 0;
  let neverBack = 0;
  for (const each of intervals) {
    const { session_id, worker_id, from_ms, ended, gone_ms } = each;
    const at = new Date(from_ms).toISOString();
    if (each.others === 0 || (worker_id === SOLE.worker && each.sole_served)) {
      findings.lastQuarantined++;
      violations.push(`${worker_id} was quarantined at ${at}, and no other worker serves what it serves`);
    }
    // A scheduler ends a quarantine in memory before it writes that.
    const inMemory = logged.find(({ worker, atMs }) => worker === worker_id && atMs >= from_ms)?.atMs;
    const to = Math.min(each.to_ms ?? Number.POSITIVE_INFINITY, inMemory ?? Number.POSITIVE_INFINITY);
    const own = bySession.get(session_id) ?? [];
    const probes = own
      .filter((attempt) => attempt.from_ms > from_ms + CLAIM_MS && attempt.from_ms < to)
      .sort((a, b) => a.from_ms - b.from_ms);
    findings.quarantineProbes += probes.length;
    probes.forEach((probe, index) => {
      const earlier = probes.slice(0, index).find((other) => other.to_ms > probe.from_ms);
      if (!earlier) return;
      doubleProbes++;
      violations.push(
        `${probe.attempt} was assigned to ${worker_id}, quarantined since ${at}, while ${earlier.attempt} was on it`,
      );
    });
    const until = (each.to_ms ?? 0) + BACK_MS;
    const next = intervals.find((other) => other.session_id === session_id && other.from_ms > from_ms);
    const isLeft =
      ended &&
      (gone_ms ?? Number.POSITIVE_INFINITY) > until &&
      (next?.from_ms ?? Number.POSITIVE_INFINITY) > until &&
      between(each.to_ms ?? 0, until) >= BUSY &&
      !troubles.some(
        ({ worker, fromMs, toMs }) => worker === worker_id && fromMs < until && toMs > (each.to_ms ?? 0),
      );
    if (!isLeft || own.some((attempt) => attempt.from_ms > to && attempt.from_ms <= until)) continue;
    neverBack++;
    violations.push(
      `${worker_id} got nothing for ${BACK_MS / 1_000} s after its quarantine of ${at} had ended`,
    );
  }
  return { ...findings, doubleProbes, neverBack };
}
