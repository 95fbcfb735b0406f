/** Counts living workers by pool and state. */
import type { WorkerCount } from "../../store.ts";
import type { Database, Statement } from "../connection/database.ts";

// Counts leases, since every living session has one and ended sessions, kept for days, have none; and launches that have
// not ended (a partial index holds just these) and have no session. The states are those of domain/workers/worker.ts, in
// the same order.
const COUNT: Statement = {
  name: "worker-counts",
  text: `select coalesce(s.hello ->> 'pool', '') as pool,
         case when l.disconnected or l.lease_until < now() then 'suspect'
              when s.draining then 'draining'
              when s.ready then 'ready'
              else 'registered' end as state,
         count(*) as count
    from session_lease l join worker_session s on s.id = l.session_id
   where s.gone_time is null
   group by 1, 2
  union all
  select a.pool,
         case when a.phases @> '[{"phase": "scheduler_connecting"}]' then 'connecting' else 'launching' end,
         count(*)
    from launch a
   where a.end_time is null and not exists (select from worker_session s where s.launch_id = a.launch_id)
   group by 1, 2`,
};

/** Living workers by pool and state. */
export async function countWorkers(db: Database): Promise<WorkerCount[]> {
  return db.cold<{ pool: string; state: WorkerCount["state"]; count: number }>(COUNT, []);
}
