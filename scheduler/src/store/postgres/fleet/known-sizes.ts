/** Reads how large the workers are that could run a class. */
import type { KnownSize } from "../../../domain/matching/known-size.ts";
import type { TaskClass } from "../../../domain/matching/match.ts";
import type { Database, Statement } from "../connection/database.ts";

/** Sizes that are read; the workers of one deployment have few. */
const MAX_SIZES = 1_000;

// Of the workers of one size a living one, else the one that ended last.
const SIZES: Statement = {
  name: "worker-sizes",
  text: `with known as (
    select s.worker_id, coalesce(nullif((l.heartbeat ->> 'slots')::int, 0), (s.hello ->> 'slots')::int) as slots,
           coalesce(s.hello -> 'capacities', '{}') as capacities, s.gone_time
      from worker_session s left join session_lease l on l.session_id = s.id and s.gone_time is null
     where s.hello -> 'types' @> jsonb_build_array(jsonb_build_object('type', $1::text))
       and s.hello -> 'queues' @> to_jsonb($2::text) and s.hello -> 'labels' @> $3::jsonb)
  select distinct on (slots, capacities) worker_id, slots, capacities,
         extract(epoch from now() - gone_time)::float8 * 1000 as gone_ms
    from known order by slots desc, capacities, gone_time is null desc, gone_time desc limit ${MAX_SIZES}`,
};

/** The sizes of the workers, living or recorded, that have the type, the queue and the labels of the class. */
export async function knownSizes(
  db: Database,
  { type, queue, requirements }: Pick<TaskClass, "type" | "queue" | "requirements">,
): Promise<KnownSize[]> {
  const rows = await db.cold<{
    worker_id: string;
    slots: number;
    capacities: Record<string, number>;
    gone_ms: number | null;
  }>(SIZES, [type, queue, JSON.stringify(requirements.labels)]);
  return rows.map(({ worker_id, slots, capacities, gone_ms }) => ({
    workerId: worker_id,
    slots,
    capacities,
    goneMs: gone_ms === null ? undefined : Math.max(0, gone_ms),
  }));
}
