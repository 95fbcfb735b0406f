/** Lists rate limit keys with their token buckets and the tasks that wait. */
import { MAX_WAITING } from "../../concurrency.ts";
import type { RateKeyRow, RateLimitStore } from "../../store.ts";
import type { Database, Statement } from "../connection/database.ts";
import { STATE } from "../task-states.ts";
import { debtColumns, queueKey } from "./take-tokens.ts";

/** Buckets of a key that are listed: it has one, unless its tasks were submitted with different rates. */
const MAX_BUCKETS = 20;

const BUCKETS = `select json_agg(json_build_object('overrides', b.overrides, 'limit', b.limit_count, 'periodMs', b.period_ms,
        'burst', b.burst, 'debtMs', b.debt_us / 1000, 'pausedMs', 0)
      order by b.overrides desc, b.limit_count::float8 / b.period_ms, b.burst)
      from (select b.*, ${debtColumns("clock_timestamp()")} from rate_bucket b where b.key = k.key
             order by b.overrides desc, b.full_time desc nulls last limit ${MAX_BUCKETS}) b`;

const WAITING = `select count(*)::int as count, min(t.ready) as since from class_rate cr cross join lateral (
      select coalesce(ready_time, create_time) as ready from task
       where class_id = cr.class_id and state = ${STATE.queued} and wake_time is null
       order by priority desc, id limit ${MAX_WAITING}) t
     where cr.key = k.key`;

const IS_WAITED_FOR = `exists (
      select from class_rate cr cross join lateral (
        select from task where class_id = cr.class_id and state = ${STATE.queued} and wake_time is null
         order by priority desc, id limit 1) t
       where cr.key = k.key)`;

const LIST: Statement = {
  name: "rate-list",
  text: `select k.key, k.limit_reason, k.limit_time,
      case when k.pause_until > now() then jsonb_build_object('until', k.pause_until, 'reason', k.pause_reason,
        'by', k.pause_by, 'time', k.pause_time, 'leftMs', extract(epoch from k.pause_until - now()) * 1000) end as pause,
      w.count as waiting, w.since as waiting_since, (${BUCKETS}) as buckets
    from (
      select * from rate_key k
       where ($1::text is null or k.key = $1) and ($2::text is null or k.key > $2)
         and ($1::text is not null or k.key not like ${queueKey("'%'")})
         and ($1::text is not null or k.limit_time is not null or k.pause_until > now()
              or exists (select from rate_bucket where key = k.key and full_time > now()) or ${IS_WAITED_FOR})
       order by k.key limit $3) k
    cross join lateral (${WAITING}) w
   order by k.key`,
};

interface RateColumns {
  key: string;
  limit_reason: string | null;
  limit_time: Date | null;
  waiting: number;
  waiting_since: Date | null;
  buckets: RateKeyRow["buckets"] | null;
  pause: { until: string; leftMs: number; reason: string; by: string | null; time: string } | null;
}

/** Keys by name that tasks wait for, whose buckets are not full, or that have a rate of the operator's. */
export async function listRateLimits(
  db: Database,
  { key, afterKey, limit }: Parameters<RateLimitStore["listRateLimits"]>[0],
): Promise<RateKeyRow[]> {
  return (await db.cold<RateColumns>(LIST, [key ?? null, afterKey ?? null, limit])).map((row) => ({
    key: row.key,
    buckets: row.buckets ?? [],
    override: row.limit_time ? { reason: row.limit_reason ?? "", time: row.limit_time } : undefined,
    pause: row.pause
      ? {
          ...row.pause,
          until: new Date(row.pause.until),
          time: new Date(row.pause.time),
          by: row.pause.by ?? undefined,
        }
      : undefined,
    waiting: row.waiting,
    waitingSince: row.waiting_since ?? undefined,
  }));
}
