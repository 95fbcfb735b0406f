import type { Database, Statement } from "../connection/database.ts";
import { codeOf } from "../connection/errors.ts";

/** Days for which partitions are made ahead. */
const PARTITIONS_AHEAD_DAYS = 7;

/**
 * While it waits for a lock that a backup or a long query holds, a statement that makes or drops a partition
 * keeps everybody behind it waiting: it waits for less than anybody would feel.
 */
const LOCK_TIMEOUT = "500ms";

/** Statements under way are over by the next try; a backup is still there. */
const TRIES = 3;
const PAUSE_MS = 1_000;

const LOCK_NOT_AVAILABLE = "55P03";

const SET_LOCK_TIMEOUT: Statement = {
  name: "set-lock-timeout",
  text: "select set_config('lock_timeout', $1, true)",
};
const ENSURE_PARTITIONS: Statement = { name: "ensure-partitions", text: "select ensure_partitions($1)" };
const DROP_PARTITIONS: Statement = {
  name: "drop-partitions",
  text: "select drop_partitions($1) as dropped",
};
const olderThan = (table: string, time: string): Statement => ({
  name: `drop-${table}`,
  text: `delete from ${table} where ${time} < now() - $1::int * interval '1 day'`,
});
const DROP_KEYS: Statement = {
  name: "drop-keys",
  text: `delete from task_key k
    where k.create_time < now() - $1::int * interval '1 day'
      and not exists (select from task t where t.id = k.task_id)
      and not exists (select from task_finished f where f.id = k.task_id)`,
};

const DROP_ROWS = [
  DROP_KEYS,
  olderThan("worker_session", "gone_time"),
  olderThan("worker_refusal", "last_time"),
  olderThan("launch", "end_time"),
];

/** Makes the partitions of the coming days; false when a lock was in the way of one that is missing. */
export async function ensurePartitions(db: Database): Promise<boolean> {
  return (await unlessLocked(db, ENSURE_PARTITIONS, PARTITIONS_AHEAD_DAYS)) !== undefined;
}

/**
 * Drops what is older than `keepDays`; answers how many partitions went, undefined when a lock was in the way
 * of them.
 */
export async function dropOld(db: Database, keepDays: number): Promise<number | undefined> {
  const rows = await unlessLocked<{ dropped: number }>(db, DROP_PARTITIONS, keepDays);
  for (const statement of DROP_ROWS) await db.cold(statement, [keepDays]);
  return rows && (rows[0]?.dropped ?? 0);
}

async function unlessLocked<R extends object>(
  db: Database,
  statement: Statement,
  days: number,
): Promise<R[] | undefined> {
  for (let tries = 1; ; tries++) {
    try {
      // Harmless to run twice.
      return await db.retrying(() =>
        db.transaction(async (tx) => {
          await tx.run(SET_LOCK_TIMEOUT, [LOCK_TIMEOUT]);
          return tx.run<R>(statement, [days]);
        }),
      );
    } catch (error) {
      if (codeOf(error) !== LOCK_NOT_AVAILABLE) throw error;
      if (tries === TRIES) return undefined;
      await db.sleep(PAUSE_MS);
    }
  }
}
