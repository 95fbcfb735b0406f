/** Queues locked tasks again. */

import type { FoundTask, SkipCode } from "../../../domain/tasks/task-change.ts";
import { scopedKey } from "../../../domain/tasks/unique-keys/key-plan.ts";
import { holdsKey } from "../../../domain/tasks/unique-keys/unique-key.ts";
import type { WaitingTask } from "../../classes.ts";
import { int4Array, int8Array } from "../arrays.ts";
import { IS_PER_KEY } from "../concurrency/idle-classes.ts";
import type { Runner, Statement } from "../connection/database.ts";
import { STATE } from "../task-states.ts";
import { LAST_ATTEMPT } from "../tasks/control/cancel-retry.ts";
import { KEPT_BY_RETRY, valuesKeptByRetry } from "../tasks/task-columns.ts";
import { giveKeys, type KeyOwner, keyOwners, lockKeys } from "../unique-keys/key-rows.ts";
import type { Carried, Carrying, KeyOwners, LockedTask } from "./carrying.ts";

const WAKE: Statement = {
  name: "change-wake",
  text: `with woken as (
    update task t set wake_time = null, ready_time = now(),
           options = case when $3::boolean then nullif(t.options - array['checkpointed', 'earlierProgress', 'steps'], '{}') else t.options end
      from unnest($1::bigint[]) as d(id) where t.id = d.id
    returning t.id, t.class_id, t.priority, t.epoch),
  ev as (
    insert into event (name, task_id, epoch, attributes)
    select 'retry_requested', id, epoch, jsonb_build_object('reason', $2::text) from woken)
  select id, class_id, priority from woken`,
};

// In the order of the ids. The lock keeps the classes from being marked as idle before the commit.
const LOCK_CLASSES: Statement = {
  name: "change-lock-classes",
  text: `select c.id from task_class c where c.id = any($1::int[]) and ${IS_PER_KEY} order by c.id for no key update`,
};

const RETRY: Statement = {
  name: "change-retry",
  text: `with back as (
    delete from task_finished f using unnest($1::bigint[]) as d(id)
     where f.id = d.id and ($4::text is null or f.options -> 'steps' -> $4 ->> 'state' = 'failed') returning f.*),
  ${LAST_ATTEMPT},
  ins as (
    insert into task (${KEPT_BY_RETRY}, failure, state, ready_time) overriding system value
    select ${valuesKeptByRetry("$3::boolean", "$4::text")}, failure, ${STATE.queued}, now() from back order by id
    returning id, class_id, priority, epoch),
  used as (
    update task_class c set idle_time = null from (select distinct class_id from back) b
     where c.id = b.class_id and c.idle_time is not null),
  ev as (
    insert into event (name, task_id, epoch, attributes)
    select 'retry_requested', id, epoch, jsonb_build_object('reason', $2::text) from ins)
  select id, class_id, priority from ins`,
};

interface Queued {
  id: number;
  class_id: number;
  priority: number;
}

/** Locks the keys of tasks that are to be retried; answers whom they belong to. */
export async function lockKeysOfRetried(tx: Runner, tasks: readonly FoundTask[]): Promise<KeyOwners> {
  const wanted = [...new Map(tasks.map((task) => [scopeOf(task), ownerOf(task)])).values()];
  await lockKeys(tx, wanted);
  const found = await keyOwners((statement, values) => tx.run(statement, values), wanted);
  return new Map(found.map(({ queue, key, owner }) => [scopedKey(queue, key), owner]));
}

export async function retryFound(
  tx: Runner,
  { change, tasks, keys: { owners = new Map() }, reason }: Carrying,
): Promise<Carried> {
  const { afresh = false, step } = change.kind === "retry" ? change : {};
  const open = tasks.filter(({ state }) => state === "queued");
  const woken =
    open.length > 0 ? await tx.run<Queued>(WAKE, [int8Array(open.map(({ id }) => id)), reason, afresh]) : [];
  const ended = tasks.filter(({ state }) => state !== "queued");
  const { free, held } = divide(ended, owners);
  if (free.length > 0) await tx.run(LOCK_CLASSES, [int4Array(free.map(({ classId }) => classId))]);
  const queued =
    free.length > 0
      ? await tx.run<Queued>(RETRY, [int8Array(free.map(({ id }) => id)), reason, afresh, step ?? null])
      : [];
  const again = new Set(queued.map(({ id }) => id));
  await giveKeys(
    tx,
    free.flatMap((task) => (task.uniqueKey === undefined || !again.has(task.id) ? [] : [ownerOf(task)])),
  );
  const skipped = (those: readonly LockedTask[], code: SkipCode) => those.map(({ id }) => ({ id, code }));
  return {
    waiting: [...woken, ...queued].map(
      ({ id, class_id: classId, priority }): WaitingTask => ({ id, classId, priority }),
    ),
    skipped: [
      ...skipped(held, "UNIQUE_KEY_HELD"),
      // Without a step every one of them is queued.
      ...skipped(
        free.filter(({ id }) => !again.has(id)),
        "STEP_NOT_FAILED",
      ),
    ],
  };
}

/** Of the tasks with one key the newest gets it, unless another task holds it. */
function divide(tasks: readonly LockedTask[], owners: KeyOwners): { free: LockedTask[]; held: LockedTask[] } {
  const taken = new Set<string>();
  const free: LockedTask[] = [];
  const held: LockedTask[] = [];
  for (const task of [...tasks].sort((a, b) => b.id - a.id)) {
    const owner = task.uniqueKey === undefined ? undefined : owners.get(scopeOf(task));
    const isHeld = owner !== undefined && owner.id !== task.id && holdsKey(owner);
    if (task.uniqueKey !== undefined && (isHeld || taken.has(scopeOf(task)))) held.push(task);
    else {
      free.push(task);
      taken.add(scopeOf(task));
    }
  }
  return { free, held };
}

function ownerOf({ id, queue, uniqueKey }: FoundTask): KeyOwner {
  return { queue, key: uniqueKey ?? "", id };
}

function scopeOf({ queue, uniqueKey }: FoundTask): string {
  return scopedKey(queue, uniqueKey ?? "");
}
