/** Keeps a bounded list of rejected workers. */
import type {
  RejectedClaims,
  RejectedWorker,
  RejectionCode,
} from "../../../domain/workers/rejected-worker.ts";
import type { RejectedWorkerWrite } from "../../store.ts";
import type { Database, Statement } from "../connection/database.ts";

// In the order of the key: two schedulers that write the same rows must lock them in the same order.
const RECORD: Statement = {
  name: "refusal-record",
  text: `insert into worker_refusal as r (worker_id, code, peer_host, peer, message, claims,
      scheduler_protocol_version, scheduler_id, first_time, last_time, count)
    select d.worker_id, d.code, d.peer_host, d.peer, d.message, d.claims::jsonb, d.version, $8,
           now() - d.first_age_ms * interval '1 ms', now() - d.last_age_ms * interval '1 ms', d.count
      from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int[], $9::float8[],
        $10::float8[], $11::bigint[])
        as d(worker_id, code, peer_host, peer, message, claims, version, first_age_ms, last_age_ms, count)
     order by d.worker_id, d.code, d.peer_host
    on conflict (worker_id, code, peer_host) do update
       set peer = excluded.peer, message = excluded.message, claims = excluded.claims,
           scheduler_protocol_version = excluded.scheduler_protocol_version, scheduler_id = excluded.scheduler_id,
           last_time = greatest(r.last_time, excluded.last_time), count = r.count + excluded.count`,
};

// The machine with the most rows loses its oldest first: one that invents names cannot displace the rows of others.
const EVICT: Statement = {
  name: "refusal-evict",
  text: `with ranked as (
    select worker_id, code, peer_host, last_time,
           row_number() over (partition by peer_host order by last_time desc) as place, count(*) over () as total
      from worker_refusal),
  surplus as (
    select worker_id, code, peer_host from ranked where total > $1
     order by place desc, last_time
     limit greatest(0, (select count(*) from worker_refusal) - $1::int)),
  locked as (
    select r.ctid from worker_refusal r join surplus using (worker_id, code, peer_host)
     order by r.worker_id, r.code, r.peer_host for update of r)
  delete from worker_refusal where ctid in (select ctid from locked) returning 1 as evicted`,
};

const FORGET: Statement = {
  name: "refusal-forget",
  text: `with gone as (
    select r.ctid from worker_refusal r
      join unnest($1::text[], $2::float8[]) as d(worker_id, age_ms) using (worker_id)
     where r.last_time <= now() - d.age_ms * interval '1 ms'
     order by r.worker_id, r.code, r.peer_host for update of r)
  delete from worker_refusal where ctid in (select ctid from gone)`,
};

const LIST: Statement = {
  name: "refusal-list",
  text: `select r.*,
         (select case when s.uuid::text = r.claims ->> 'sessionId' then 'itself' else 'another' end
            from worker_session s where s.worker_id = r.worker_id and s.gone_time is null
           order by s.id desc limit 1) as holder
    from worker_refusal r where $1::text is null or r.worker_id = $1
    order by r.last_time desc, r.worker_id limit 2000`,
};

interface RejectedWorkerRow {
  worker_id: string;
  code: RejectionCode;
  peer: string;
  message: string;
  claims: RejectedClaims;
  scheduler_protocol_version: number;
  scheduler_id: string;
  first_time: Date;
  last_time: Date;
  count: number;
  holder: "itself" | "another" | null;
}

/** Adds rejections, and drops the rows over `keep`; returns the number of dropped rows. */
export async function recordRejectedWorkers(
  db: Database,
  rejected: readonly RejectedWorkerWrite[],
  schedulerId: string,
  keep: number,
): Promise<number> {
  await db.coldOnce(RECORD, [
    rejected.map(({ workerId }) => workerId),
    rejected.map(({ code }) => code),
    rejected.map(({ peerHost }) => peerHost),
    rejected.map(({ peer }) => peer),
    rejected.map(({ message }) => message),
    rejected.map(({ claims }) => JSON.stringify(claims)),
    rejected.map(({ schedulerProtocolVersion }) => schedulerProtocolVersion),
    schedulerId,
    rejected.map(({ firstAgeMs }) => firstAgeMs),
    rejected.map(({ lastAgeMs }) => lastAgeMs),
    rejected.map(({ count }) => count),
  ]);
  return (await db.cold(EVICT, [keep])).length;
}

/** Deletes rejections of workers from before their registration, `ageMs` ago. */
export async function forgetRejectedWorkers(
  db: Database,
  workers: readonly { workerId: string; ageMs: number }[],
): Promise<void> {
  await db.cold(FORGET, [workers.map(({ workerId }) => workerId), workers.map(({ ageMs }) => ageMs)]);
}

/** Rejections of one worker or of all, the latest first. */
export async function listRejectedWorkers(
  db: Database,
  workerId: string | undefined,
): Promise<RejectedWorker[]> {
  const rows = await db.cold<RejectedWorkerRow>(LIST, [workerId ?? null]);
  return rows.map((row) => ({
    workerId: row.worker_id,
    code: row.code,
    message: row.message,
    peer: row.peer,
    claims: row.claims,
    schedulerProtocolVersion: row.scheduler_protocol_version,
    schedulerId: row.scheduler_id,
    count: row.count,
    firstTime: row.first_time,
    lastTime: row.last_time,
    holder: row.holder ?? "none",
  }));
}
