/** Deletes rate limit keys that no class has any more. */
import type { Runner, Statement } from "../connection/database.ts";

// A bucket that is not full, an operator's rate and a pause are still worth something.
const IS_UNUSED = `k.limit_time is null and coalesce(k.pause_until <= now(), true)
  and not exists (select from class_rate c where c.key = k.key)
  and not exists (select from rate_bucket b where b.key = k.key and b.full_time > now())`;

// A class that gets one of these keys meanwhile waits for the lock. It finds the key gone, and makes it again.
const LOCK: Statement = {
  name: "rate-lock-unused",
  text: `select k.key from rate_key k where k.key = any($1::text[]) and ${IS_UNUSED}
    order by k.key for update of k skip locked`,
};

const DELETE_BUCKETS: Statement = {
  name: "rate-delete-buckets",
  text: `delete from rate_bucket b using rate_key k where k.key = any($1::text[]) and b.key = k.key and ${IS_UNUSED}`,
};

const DELETE_KEYS: Statement = {
  name: "rate-delete-keys",
  text: `delete from rate_key k where k.key = any($1::text[]) and ${IS_UNUSED}
    and not exists (select from rate_bucket b where b.key = k.key)`,
};

/** Deletes those of the keys that no class has, whose buckets are full, and for which nothing is set. */
export async function dropUnusedRates(tx: Runner, keys: readonly string[]): Promise<void> {
  if (keys.length === 0) return;
  const unused = (await tx.run<{ key: string }>(LOCK, [keys])).map(({ key }) => key);
  if (unused.length === 0) return;
  await tx.run(DELETE_BUCKETS, [unused]);
  await tx.run(DELETE_KEYS, [unused]);
}
