/** Cancels and retries tasks by hand. */

import { MOVED, untilFound } from "../../../../domain/tasks/moving-task.ts";
import { holdsKey } from "../../../../domain/tasks/unique-keys/unique-key.ts";
import type { CancelResult, RetryResult, RetryWish } from "../../../tasks.ts";
import { IS_PER_KEY } from "../../concurrency/idle-classes.ts";
import type { Database, Runner, Statement } from "../../connection/database.ts";
import { IS_WAITING } from "../../dependencies/links.ts";
import { hasDependencies, linkAgain, oldDependencies } from "../../dependencies/retry-dependent.ts";
import { ACTIVE, STATE } from "../../task-states.ts";
import { giveKeys, type KeyOwner, keyOwners, lockKeys } from "../../unique-keys/key-rows.ts";
import { KEPT_BY_QUEUED_END, KEPT_BY_RETRY, valuesKeptByRetry } from "../task-columns.ts";

// A queued task ends here; of an active one the request is recorded.
const CANCEL: Statement = {
  name: "task-cancel",
  text: `with gone as (
    delete from task t where t.id = $1 and t.state = ${STATE.queued} returning t.*),
  fin as (
    insert into task_finished (${KEPT_BY_QUEUED_END}, failure, state, detail, cancel_time, cancel_reason)
    select ${KEPT_BY_QUEUED_END}, failure, ${STATE.cancelled}, 'cancelled', now(), $2 from gone),
  asked as (
    update task t set cancel_time = coalesce(t.cancel_time, now()), cancel_reason = coalesce(t.cancel_reason, $2)
     where t.id = $1 and t.state in ${ACTIVE}
    returning t.id, t.epoch, t.session_id, t.class_id),
  ev as (
    insert into event (name, task_id, epoch, attributes)
    select 'cancelled', id, epoch, jsonb_build_object('reason', $2::text) from gone
    union all
    select 'cancel_requested', id, epoch, jsonb_build_object('reason', $2::text) from asked)
  select 'cancelled' as outcome, epoch, null::bigint as session_id, class_id from gone
  union all
  select 'asked', epoch, session_id, class_id from asked`,
};

// One snapshot finds a task that moves between the tables exactly once.
const PLACE: Statement = {
  name: "task-place",
  text: `select false as ended, null as queue, null as key, false as linked, ${IS_WAITING} as waits, t.hold is not null as held from task t where id = $1
    union all
    select true, c.queue, f.unique_key, ${hasDependencies("f.id")}, false, false from task_finished f join task_class c on c.id = f.class_id where f.id = $1`,
};

const RETRY_WAITING: Statement = {
  name: "task-retry-waiting",
  text: `with woken as (
    update task t set wake_time = null, ready_time = now(),
           options = case when $2::boolean then nullif(options - array['checkpointed', 'earlierProgress', 'steps'], '{}') else options end
     where $3::text is null and id = $1 and state = ${STATE.queued} and wake_time is not null and not ${IS_WAITING} and hold is null
    returning id, class_id, priority, epoch),
  ev as (insert into event (name, task_id, epoch) select 'retry_requested', id, epoch from woken)
  select id, class_id, priority from woken`,
};

/** Records the last attempt of each task in `back`, the ended tasks that are retried. One that ended in the queue has none. */
export const LAST_ATTEMPT = `attempt as (
    insert into task_attempt (task_id, epoch, number, session_id, outcome, failure, assign_time, accept_time,
      start_time, end_time, class_id)
    select id, epoch, attempt_count, session_id, detail, failure, assign_time, accept_time, start_time, finish_time,
           class_id
      from back where session_id is not null)`;

// Its class is in use again: the update also keeps the class from being marked before the commit.
const retryEnded = (condition = ""): string => `with back as (
    delete from task_finished where id = $1 and ($3::text is null or options -> 'steps' -> $3 ->> 'state' = 'failed') ${condition} returning *),
  ${LAST_ATTEMPT},
  ins as (
    insert into task (${KEPT_BY_RETRY}, failure, state, ready_time) overriding system value
    select ${valuesKeptByRetry("$2::boolean", "$3::text")}, failure, ${STATE.queued}, now() from back
    returning id, class_id, priority, epoch),
  used as (
    update task_class c set idle_time = null from back where c.id = back.class_id and ${IS_PER_KEY}),
  ev as (insert into event (name, task_id, epoch) select 'retry_requested', id, epoch from ins)
  select id, class_id, priority from ins`;

const RETRY_ENDED: Statement = {
  name: "task-retry-ended",
  text: retryEnded(`and unique_key is null and not ${hasDependencies("task_finished.id")}`),
};

// Only in a transaction that has decided about its key and its dependencies.
const RETRY_ENDED_DECIDED: Statement = { name: "task-retry-ended-decided", text: retryEnded() };

/** Ends a queued task, or marks an active one. A second request changes nothing. */
export function cancelTask(db: Database, id: number, reason: string): Promise<CancelResult> {
  // The statement misses a task that is claimed or requeued at the same moment: it runs again.
  return untilFound(id, "cancelled", async () => {
    const [row] = await db.cold<{ epoch: number; session_id: number | null; class_id: number }>(CANCEL, [
      id,
      reason,
    ]);
    if (row?.session_id) {
      return { outcome: "asked", attempt: { taskId: id, epoch: row.epoch }, sessionId: row.session_id };
    }
    if (row) return { outcome: "cancelled", classId: row.class_id };
    const [place] = await db.cold<{ ended: boolean }>(PLACE, [id]);
    if (!place) return undefined;
    return place.ended ? { outcome: "ended" } : MOVED;
  });
}

interface Place {
  ended: boolean;
  queue: string | null;
  key: string | null;
  /** An ended task has dependencies. */
  linked: boolean;
  /** An open one waits for tasks. */
  waits: boolean;
  /** An open one is held. */
  held: boolean;
}

interface Retried {
  id: number;
  class_id: number;
  priority: number;
}

const STEP_STATE: Statement = {
  name: "task-step-state",
  text: "select options -> 'steps' -> $2 ->> 'state' as state from task_finished where id = $1",
};

/** Queues an ended or waiting task to run now. */
export function retryTask(db: Database, id: number, { afresh, step }: RetryWish = {}): Promise<RetryResult> {
  const wish = [afresh ?? false, step ?? null];
  return untilFound(id, "retried", async () => {
    for (const statement of [RETRY_WAITING, RETRY_ENDED]) {
      const [row] = await db.cold<Retried>(statement, [id, ...wish]);
      if (row) return queued(row);
    }
    const [place] = await db.cold<Place>(PLACE, [id]);
    if (!place) return undefined;
    if (place.ended && step !== undefined) {
      const [found] = await db.cold<{ state: string | null }>(STEP_STATE, [id, step]);
      if (found && found.state !== "failed")
        return { outcome: "step_not_failed", state: found.state ?? undefined };
    }
    if (!place.ended) return { outcome: place.held ? "held" : place.waits ? "waits_for_tasks" : "active" };
    // A task without a key and dependencies has ended since the statement: it is tried again.
    const { queue, key, linked } = place;
    if (queue === null || (key === null && !linked)) return MOVED;
    return (await retryDecided(db, id, wish, key === null ? undefined : { id, queue, key })) ?? MOVED;
  });
}

/**
 * Queues an ended task that has a unique key or dependencies, unless another task holds the key or a predecessor has not
 * succeeded; undefined when it is not ended any more.
 */
async function retryDecided(
  db: Database,
  id: number,
  wish: readonly unknown[],
  wanted: KeyOwner | undefined,
): Promise<RetryResult> {
  // Same effect when it runs twice: the second run finds a task that is queued.
  return db.retrying(() =>
    db.batchTransaction(async (tx): Promise<RetryResult> => {
      const held = wanted && (await keyHeld(tx, wanted));
      if (held) return held;
      const { after, failed } = await oldDependencies(tx, id);
      if (failed) return failed;
      const [row] = await tx.run<Retried>(RETRY_ENDED_DECIDED, [id, ...wish]);
      if (!row) return undefined;
      if (wanted) await giveKeys(tx, [wanted]);
      const waitsForTasks = await linkAgain(tx, id, after);
      return { ...queued(row), ...(waitsForTasks ? { waitsForTasks } : {}) };
    }),
  );
}

/** Locks the key; the refusal when another task holds it. */
async function keyHeld(tx: Runner, wanted: KeyOwner): Promise<RetryResult> {
  await lockKeys(tx, [wanted]);
  const [found] = await keyOwners((statement, values) => tx.run(statement, values), [wanted]);
  const owner = found?.owner;
  if (!owner || owner.id === wanted.id || !holdsKey(owner)) return undefined;
  const { id: holderId, state: holderState } = owner;
  return { outcome: "key_held", key: wanted.key, holderId, holderState };
}

function queued({ id, class_id: classId, priority }: Retried): Extract<RetryResult, { outcome: "queued" }> {
  return { outcome: "queued", task: { id, classId, priority } };
}
