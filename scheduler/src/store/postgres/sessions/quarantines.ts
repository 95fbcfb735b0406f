/** Reads and writes which workers are quarantined. */
import { type QuarantineRecord, quarantineInWords } from "../../../domain/workers/quarantine.ts";
import type { QuarantineStore } from "../../quarantines.ts";
import type { Database, Statement } from "../connection/database.ts";

const BEGIN: Statement = {
  name: "quarantine-begin",
  text: `with q as (
    update worker_session
       set quarantine = $3::jsonb || jsonb_build_object('since', now(), 'probeTime', now() + $4::float8 * interval '1 ms')
     where id = $1 and scheduler_id = $2 and gone_time is null and quarantine is null
    returning id, worker_id)
  insert into event (name, session_id, worker_id, attributes)
  select 'worker.quarantined', id, worker_id, $5::jsonb from q`,
};

const EXTEND: Statement = {
  name: "quarantine-extend",
  text: `update worker_session
     set quarantine = quarantine || $2::jsonb || jsonb_build_object('probeTime', now() + $3::float8 * interval '1 ms')
   where id = $1 and quarantine is not null`,
};

const END: Statement = {
  name: "quarantine-end",
  text: `with old as (
    select id, worker_id, quarantine from worker_session
     where id = any($1::bigint[]) and quarantine is not null order by id for update),
  q as (update worker_session s set quarantine = null from old where s.id = old.id)
  insert into event (name, session_id, worker_id, attributes)
  select 'worker.quarantine_ended', id, worker_id,
         jsonb_strip_nulls(jsonb_build_object('reason', $2::text, 'note', $3::text,
           'failed_probes', quarantine ->> 'failedProbes',
           'quarantined_ms', round(extract(epoch from now() - (quarantine ->> 'since')::timestamptz) * 1000)::text))
    from old`,
};

const QUARANTINED: Statement = {
  name: "quarantined",
  text: "select id from worker_session where id = any($1::bigint[]) and quarantine is not null",
};

const QUARANTINED_OF: Statement = {
  name: "quarantined-of",
  text: "select id from worker_session where worker_id = $1 and gone_time is null and quarantine is not null",
};

// From the leases, which only living sessions have.
const WORKERS: Statement = {
  name: "quarantined-workers",
  text: `select s.worker_id, s.quarantine from session_lease l join worker_session s on s.id = l.session_id
    where s.quarantine is not null and s.gone_time is null order by s.quarantine ->> 'since' desc limit $1`,
};

/** A quarantine as its column has it. */
export type QuarantineColumn = Omit<QuarantineRecord, "since" | "probeTime"> & {
  readonly since: string;
  readonly probeTime: string;
};

export function quarantineStore(db: Database): QuarantineStore {
  return {
    beginQuarantine: async (sessionId, schedulerId, quarantine, probeMs) => {
      const { errors, ...counts } = quarantine;
      const last = errors.at(-1);
      const attributes = {
        failed: String(counts.failed),
        finished: String(counts.finished),
        window_ms: String(counts.windowMs),
        summary: quarantineInWords(quarantine),
        ...(last ? { last_error: `${last.attemptId}: ${last.code}: ${last.message}` } : {}),
      };
      await db.cold(BEGIN, [
        ...[sessionId, schedulerId, JSON.stringify(quarantine), probeMs],
        JSON.stringify(attributes),
      ]);
    },
    extendQuarantine: async (sessionId, failed, probeMs) => {
      await db.cold(EXTEND, [sessionId, JSON.stringify(failed), probeMs]);
    },
    endQuarantines: async (sessionIds, reason, note) => {
      await db.cold(END, [sessionIds, reason, note ?? null]);
    },
    quarantinedSessions: async (sessionIds) =>
      (await db.cold<{ id: number }>(QUARANTINED, [sessionIds])).map(({ id }) => id),
    quarantinedWorkers: async (limit) => {
      const rows = await db.cold<{ worker_id: string; quarantine: QuarantineColumn }>(WORKERS, [limit]);
      return rows.map((row) => ({ workerId: row.worker_id, quarantine: toQuarantine(row.quarantine) }));
    },
    quarantinedSessionsOf: async (workerId) =>
      (await db.cold<{ id: number }>(QUARANTINED_OF, [workerId])).map(({ id }) => id),
  };
}

/** The record of a column. */
export function toQuarantine(column: QuarantineColumn): QuarantineRecord {
  return { ...column, since: new Date(column.since), probeTime: new Date(column.probeTime) };
}
