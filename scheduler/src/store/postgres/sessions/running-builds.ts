/** Reads which builds run. */
import type { RunningBuild } from "../../sessions.ts";
import type { Database, Statement } from "../connection/database.ts";

const RUNNING: Statement = {
  name: "session-running-builds",
  text: `select distinct q.queue, t.type, coalesce(s.hello ->> 'buildId', '') as build
    from session_lease l join worker_session s on s.id = l.session_id
         cross join lateral jsonb_array_elements_text(s.hello -> 'queues') as q(queue)
         cross join lateral (select e ->> 'type' as type from jsonb_array_elements(s.hello -> 'types') as e) t
   where s.gone_time is null and s.ready and not s.draining and not l.disconnected and l.lease_until > now()
     and q.queue = any($1::text[])`,
};

/** Builds of the ready workers that take from these queues. */
export function runningBuilds(db: Database, queues: readonly string[]): Promise<RunningBuild[]> {
  return db.cold<RunningBuild & { [column: string]: unknown }>(RUNNING, [queues]);
}
