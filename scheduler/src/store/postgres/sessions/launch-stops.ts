/** Writes and reads what operators ask of launches: to end the process. */
import type { LaunchStop } from "../../../domain/workers/launch.ts";
import type { OpenStop, StopRequest } from "../../store.ts";
import type { Database, Statement } from "../connection/database.ts";

const REQUEST: Statement = {
  name: "launch-stop-request",
  text: `with s as (
    update launch
       set stop = jsonb_build_object('number', coalesce((stop ->> 'number')::int, 0) + 1, 'reason', $2::text,
             'graceMs', $3::float8, 'restart', $4::boolean, 'timeMs', extract(epoch from now()) * 1000)
     where launch_id = $1 and end_time is null
    returning worker_id, stop),
  ev as (
    insert into event (name, worker_id, session_id, attributes)
    select 'worker.kill_requested', worker_id,
           (select max(id) from worker_session where launch_id = $1 and gone_time is null),
           jsonb_build_object('launch_id', $1::text, 'reason', $2::text, 'grace_ms', round($3::float8)::text,
             'restart', $4::boolean::text)
      from s)
  select stop from s`,
};

const OPEN: Statement = {
  name: "launch-stops",
  text: "select launch_id, stop from launch where stop is not null and end_time is null",
};

/** The value of the column `launch.stop`. */
export interface StopColumn {
  readonly number: number;
  readonly reason: string;
  readonly graceMs: number;
  readonly restart: boolean;
  readonly timeMs: number;
}

/** A request from its column. */
export function toStop({ number, reason, graceMs, restart, timeMs }: StopColumn): LaunchStop {
  return { number, reason, graceMs, restart, time: new Date(timeMs) };
}

/** Records a request to end a launch, in place of an earlier one; undefined when the launch has ended. */
export async function requestStop(
  db: Database,
  launchId: string,
  { reason, graceMs, restart }: StopRequest,
): Promise<LaunchStop | undefined> {
  const [row] = await db.cold<{ stop: StopColumn }>(REQUEST, [launchId, reason, graceMs, restart]);
  return row && toStop(row.stop);
}

/** Requests to end launches that have not ended. */
export async function openStops(db: Database): Promise<OpenStop[]> {
  const rows = await db.cold<{ launch_id: string; stop: StopColumn }>(OPEN, []);
  return rows.map(({ launch_id: launchId, stop }) => ({ launchId, stop: toStop(stop) }));
}
