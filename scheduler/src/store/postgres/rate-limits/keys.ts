/** Makes the token buckets of new classes, and sets the rates of operators. */
import {
  type BucketState,
  queueOfRateKey,
  queueRateKey,
  type RateLimit,
} from "../../../domain/tasks/limits/rate-limit.ts";
import type { QueueRate, RateLimitStore } from "../../store.ts";
import { int4Array, int8Array, textArray } from "../arrays.ts";
import type { Database, Runner, Statement } from "../connection/database.ts";
import { debtColumns, queueKey } from "./take-tokens.ts";
import { dropUnusedRates } from "./unused-keys.ts";

// Before the classes that refer to them. In their own order, so that schedulers that create the same ones cannot deadlock.
const MAKE_KEYS: Statement = {
  name: "rate-make-keys",
  text: `insert into rate_key (key) select distinct d.key from unnest($1::text[]) as d(key) order by d.key
    on conflict (key) do nothing`,
};

const MAKE_BUCKETS: Statement = {
  name: "rate-make-buckets",
  text: `insert into rate_bucket (key, limit_count, period_ms, burst, pause_until)
    select d.key, d.limit_count, d.period_ms, d.burst, k.pause_until
      from (select distinct * from unnest($1::text[], $2::int[], $3::bigint[], $4::int[])
              as d(key, limit_count, period_ms, burst)) d join rate_key k on k.key = d.key
     order by d.key, d.limit_count, d.period_ms, d.burst
       for share of k
    on conflict do nothing`,
};

const SET_KEY: Statement = {
  name: "rate-set-key",
  text: `with k as (
    insert into rate_key (key, limit_reason, limit_time)
    values ($1, $2, case when $2::text is null then null else now() end)
    on conflict (key) do update set limit_reason = excluded.limit_reason, limit_time = excluded.limit_time
    returning key),
  e as (
    insert into event (name, attributes)
    select case when $2::text is null then $9 else $8 end,
           jsonb_strip_nulls(jsonb_build_object($6::text, $7::text, 'reason', $2::text, 'limit', $3::int::text,
             'period_ms', $4::bigint::text, 'burst', $5::int::text))
      from k)
  select pg_notify('muster', '{"kind":"queue"}') from k`,
};

// A bucket with the same rate keeps its tokens.
const DROP_OVERRIDE: Statement = {
  name: "rate-drop-override",
  text: `delete from rate_bucket
     where key = $1 and overrides and (limit_count, period_ms, burst) is distinct from ($2::int, $3::bigint, $4::int)`,
};

const MAKE_OVERRIDE: Statement = {
  name: "rate-make-override",
  text: `insert into rate_bucket (key, overrides, limit_count, period_ms, burst, pause_until)
    select key, true, $2::int, $3::bigint, $4::int, pause_until from rate_key where key = $1
    on conflict do nothing`,
};

const MAKE_QUEUE: Statement = {
  name: "rate-make-queue",
  text: "insert into queue (name) values ($1) on conflict (name) do nothing",
};

const QUEUE_RATES: Statement = {
  name: "rate-queues",
  text: `select b.key, k.limit_reason, k.limit_time, b.limit_count, b.period_ms, b.burst, b.debt_us / 1000 as debt_ms
    from (select b.*, ${debtColumns("clock_timestamp()")} from rate_bucket b where b.overrides) b
    join rate_key k on k.key = b.key
   where b.key like ${queueKey("'%'")}`,
};

const OVERRIDES: Statement = {
  name: "rate-overrides",
  text: `select b.key, b.limit_count, b.period_ms, b.burst, b.debt_us / 1000 as debt_ms
    from (select b.*, ${debtColumns("clock_timestamp()")} from rate_bucket b where b.overrides) b`,
};

/** Makes the buckets of these limits that are missing, full. */
export async function makeBuckets(db: Database, limits: readonly RateLimit[]): Promise<void> {
  if (limits.length === 0) return;
  const keys = textArray(limits.map(({ key }) => key));
  await db.cold(MAKE_KEYS, [keys]);
  await db.cold(MAKE_BUCKETS, [
    keys,
    int4Array(limits.map(({ limit }) => limit)),
    int8Array(limits.map(({ periodMs }) => periodMs)),
    int4Array(limits.map(({ burst }) => burst)),
  ]);
}

type Setting = Parameters<RateLimitStore["setRateLimit"]>[1];

/** Sets the rate of a key, or takes it back; other schedulers get a hint. */
export async function setRateLimit(db: Database, key: string, set: Setting): Promise<void> {
  const named = ["key", key, "rate_limit.set", "rate_limit.unset"];
  await db.transaction((tx) => override(tx, key, set, named));
}

/** Sets the rate of a queue, or ends it; creates a missing one. */
export async function setQueueRate(db: Database, queue: string, set: Setting): Promise<void> {
  const named = ["queue", queue, "queue.rate_limited", "queue.rate_unlimited"];
  await db.transaction(async (tx) => {
    await tx.run(MAKE_QUEUE, [queue]);
    await override(tx, queueRateKey(queue), set, named);
  });
}

/** @param named The event's attribute with its value, and the names of the events. */
async function override(tx: Runner, key: string, set: Setting, named: readonly string[]): Promise<void> {
  const rate = [set?.rate.limit ?? null, set?.rate.periodMs ?? null, set?.rate.burst ?? null];
  await tx.run(SET_KEY, [key, set?.reason ?? null, ...rate, ...named]);
  await tx.run(DROP_OVERRIDE, [key, ...rate]);
  if (set) await tx.run(MAKE_OVERRIDE, [key, ...rate]);
  else await dropUnusedRates(tx, [key]);
}

interface BucketColumns {
  key: string;
  limit_count: number;
  period_ms: number;
  burst: number;
  debt_ms: number;
}

/** The buckets of the operator's rates. */
export async function rateOverrides(db: Database): Promise<BucketState[]> {
  return (await db.cold<BucketColumns>(OVERRIDES, [])).map(toOverride);
}

/** The rate of each queue that has one. */
export async function queueRates(db: Database): Promise<ReadonlyMap<string, QueueRate>> {
  const rows = await db.cold<BucketColumns & { limit_reason: string; limit_time: Date }>(QUEUE_RATES, []);
  return new Map(
    rows.flatMap((row) => {
      const queue = queueOfRateKey(row.key);
      const rate = { bucket: toOverride(row), reason: row.limit_reason, time: row.limit_time };
      return queue === undefined ? [] : [[queue, rate]];
    }),
  );
}

function toOverride(row: BucketColumns): BucketState {
  return {
    key: row.key,
    overrides: true,
    pausedMs: 0,
    limit: row.limit_count,
    periodMs: row.period_ms,
    burst: row.burst,
    debtMs: row.debt_ms,
  };
}
