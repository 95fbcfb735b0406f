/** Reads the totals of what handlers measured. */
import type { MetricFilter, MetricStatistics, MetricTotal } from "../../metrics.ts";
import type { Database, Statement } from "../connection/database.ts";

/** Totals that are returned. */
const MAX_TOTALS = 1_000;

// The primary key has the minutes of the window in order: other rows are not read. A minute that is dated after now was written
// before the database's clock was set back: it counts.
const TOTALS: Statement = {
  name: "metric-totals",
  text: `with started as (select date_trunc('minute', now() - $1::float8 * interval '1 ms') as time),
  summed as (
    select queue, type, name, sum(total)::float8 as sum, sum(attempt_count)::float8 as attempts
      from metric_total
     where time >= (select time from started)
       and ($2::text is null or queue = $2) and ($3::text is null or type = $3) and ($4::text is null or name = $4)
     group by queue, type, name),
  shown as (select * from summed order by queue, type, name limit ${MAX_TOTALS})
  select now() as read_time, (select time from started) as start_time,
         (select count(*)::int from summed) as total_count,
         coalesce((select json_agg(json_build_object('queue', queue, 'type', type, 'name', name, 'sum', sum,
                     'attemptCount', attempts) order by queue, type, name) from shown), '[]') as totals`,
};

interface Row {
  read_time: Date;
  start_time: Date;
  total_count: number;
  totals: MetricTotal[];
}

/** Totals within the window. */
export async function metricStatistics(db: Database, filter: MetricFilter): Promise<MetricStatistics> {
  const { windowMs, queue, type, name } = filter;
  const [row] = await db.cold<Row>(TOTALS, [windowMs, queue ?? null, type ?? null, name ?? null]);
  if (!row) throw new Error(`the statement ${TOTALS.name} returned no row`);
  return {
    readTime: row.read_time,
    startTime: row.start_time,
    totals: row.totals,
    totalCount: row.total_count,
  };
}
