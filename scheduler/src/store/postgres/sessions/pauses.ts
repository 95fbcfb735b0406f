/** Reads and writes which workers operators have paused. */
import type { PausedWorker } from "../../sessions.ts";
import type { Database, Statement } from "../connection/database.ts";

const PAUSED: Statement = {
  name: "worker-paused",
  text: "select worker_id, reason, pause_time from worker_pause",
};

const PAUSE: Statement = {
  name: "worker-pause",
  text: `with p as (
    insert into worker_pause (worker_id, reason) values ($1, $2)
    on conflict (worker_id) do update set reason = excluded.reason)
  insert into event (name, worker_id, session_id, attributes)
  values ('worker.paused', $1, (select max(id) from worker_session where worker_id = $1 and gone_time is null),
          jsonb_build_object('reason', $2::text))`,
};

const RESUME: Statement = {
  name: "worker-resume",
  text: `with p as (delete from worker_pause where worker_id = $1 returning worker_id, reason, pause_time),
  e as (
    insert into event (name, worker_id, session_id, attributes)
    select 'worker.resumed', worker_id, (select max(id) from worker_session where worker_id = $1 and gone_time is null),
           jsonb_build_object('reason', $2::text, 'paused_for', reason,
             'paused_ms', round(extract(epoch from now() - pause_time) * 1000)::text)
      from p)
  select worker_id from p`,
};

/** Worker ids that operators have paused. */
export async function pausedWorkers(db: Database): Promise<PausedWorker[]> {
  const rows = await db.cold<{ worker_id: string; reason: string; pause_time: Date }>(PAUSED, []);
  return rows.map((row) => ({ workerId: row.worker_id, reason: row.reason, since: row.pause_time }));
}

/** Pauses a worker id, or gives its pause a new reason. */
export async function pauseWorker(db: Database, workerId: string, reason: string): Promise<void> {
  await db.cold(PAUSE, [workerId, reason]);
}

/** Ends the pause of a worker id; false when it is not paused. */
export async function resumeWorker(db: Database, workerId: string, reason: string): Promise<boolean> {
  return (await db.cold(RESUME, [workerId, reason])).length > 0;
}
