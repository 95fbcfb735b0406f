/** Creates and drops partitions. */

import { closeIdle } from "../circuits/circuits.ts";
import { dropIdleClasses } from "../concurrency/idle-classes.ts";
import type { Database, Statement } from "../connection/database.ts";
import { codeOf } from "../connection/errors.ts";
import { ACTIVE, STATE } from "../task-states.ts";

/** Days ahead for which partitions are created. */
const PARTITIONS_AHEAD_DAYS = 7;

/**
 * While a statement that creates or drops a partition waits for the lock of a backup or a long query, all later
 * statements on the table wait behind it. So it gives up after this short wait.
 */
const LOCK_TIMEOUT = "500ms";

/** By the next try, ordinary statements have ended; a backup has not. */
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
// A submit locks the rows of its keys in order: a statement that waited for them in any other could deadlock with it.
const DROP_KEYS: Statement = {
  name: "drop-keys",
  text: `with gone as materialized (
    select k.queue, k.key from task_key k
     where k.create_time < now() - $1::int * interval '1 day'
       and not exists (select from task t where t.id = k.task_id)
       and not exists (select from task_finished f where f.id = k.task_id)
       for update skip locked)
  delete from task_key k using gone where k.queue = gone.queue and k.key = gone.key`,
};

// A pause outlasts the worker's processes for as long as one of them is on record.
const DROP_PAUSES: Statement = {
  name: "drop-pauses",
  text: `delete from worker_pause p
    where p.pause_time < now() - $1::int * interval '1 day'
      and not exists (select from worker_session s where s.worker_id = p.worker_id)
      and not exists (select from launch a where a.worker_id = p.worker_id)`,
};

// Of a circuit that is not closed the row is what closes it. Successes are counted in its shares.
const DROP_CIRCUITS: Statement = {
  name: "drop-circuits",
  text: `with gone as materialized (
    select key from circuit c
     where state = 0 and use_time < now() - $1::int * interval '1 day'
       and not exists (
         select from circuit_share s
          where s.key = c.key
            and s.starts[cardinality(s.starts)] > extract(epoch from now() - $1::int * interval '1 day') * 1000)
       for update skip locked)
  delete from circuit c using gone where c.key = gone.key`,
};

// A dependency is kept for as long as the record of its dependent, of which it is a part.
const DROP_DEPENDENCIES: Statement = {
  name: "drop-dependencies",
  text: `delete from task_dependency d
    where d.end_time < now() - $1::int * interval '1 day'
      and not exists (select from task t where t.id = d.task_id)
      and not exists (select from task_finished f where f.id = d.task_id)
      and not exists (select from batch b where b.id = d.task_id)`,
};

// Its members are counted by their dependencies, which are kept until then.
const DROP_BATCHES: Statement = {
  name: "drop-batches",
  text: `delete from batch b
    where b.create_time < now() - $1::int * interval '1 day' and b.close_time < now() - $1::int * interval '1 day'
      and b.cancel_done_id is null
      and not exists (select from task_dependency d where d.task_id = b.id
                       and (d.end_time is null or d.end_time >= now() - $1::int * interval '1 day'))
      and not exists (select from task t where t.id = b.id)
      and not exists (select from task_finished f where f.id = b.id)`,
};

// It goes with its task, and when that has succeeded or was begun afresh. One that is replaced at this moment is young again.
const DROP_CHECKPOINTS: Statement = {
  name: "drop-checkpoints",
  text: `delete from task_checkpoint c
    where c.update_time < now() - least($1::int * interval '1 day', interval '10 min')
      and not exists (select from task t where t.id = c.task_id and t.options ? 'checkpointed')
      and not exists (select from task_finished f
                       where f.id = c.task_id and f.options ? 'checkpointed' and f.state <> ${STATE.succeeded})`,
};

// Of an attempt that runs longer than records are kept the row says what its totals have already.
const DROP_METRICS: Statement = {
  name: "drop-metrics",
  text: `delete from attempt_metric m
    where m.create_time < now() - $1::int * interval '1 day'
      and not exists (select from task t where t.id = m.task_id and t.epoch = m.epoch and t.state in ${ACTIVE})`,
};

const DROP_ROWS = [
  DROP_METRICS,
  DROP_CHECKPOINTS,
  DROP_KEYS,
  olderThan("worker_session", "gone_time"),
  olderThan("worker_refusal", "last_time"),
  olderThan("launch", "end_time"),
  olderThan("pool_launch", "end_time"),
  olderThan("completion_count", "time"),
  olderThan("metric_total", "time"),
  DROP_PAUSES,
  DROP_CIRCUITS,
  DROP_BATCHES,
  DROP_DEPENDENCIES,
];

/** Creates the partitions of the coming days; false when a lock prevented a missing one. */
export async function ensurePartitions(db: Database): Promise<boolean> {
  return (await unlessLocked(db, ENSURE_PARTITIONS, PARTITIONS_AHEAD_DAYS)) !== undefined;
}

/**
 * Drops rows older than `keepDays`; returns the number of dropped partitions, undefined when a lock prevented it.
 */
export async function dropOld(db: Database, keepDays: number): Promise<number | undefined> {
  const rows = await unlessLocked<{ dropped: number }>(db, DROP_PARTITIONS, keepDays);
  await closeIdle(db, keepDays);
  for (const statement of DROP_ROWS) await db.cold(statement, [keepDays]);
  // Only then do no records refer to classes that have been idle for longer.
  if (rows) await dropIdleClasses(db, keepDays);
  return rows && (rows[0]?.dropped ?? 0);
}

async function unlessLocked<R extends object>(
  db: Database,
  statement: Statement,
  days: number,
): Promise<R[] | undefined> {
  for (let tries = 1; ; tries++) {
    try {
      // Same effect when it runs twice.
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
