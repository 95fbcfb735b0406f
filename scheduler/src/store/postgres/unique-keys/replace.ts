/** Replaces what waiting tasks are with what later submits of their unique keys ask for. */
import type { TaskInsert } from "../../claims.ts";
import { int8Array } from "../arrays.ts";
import type { Runner, Statement } from "../connection/database.ts";
import { IS_WAITING } from "../dependencies/links.ts";
import { STATE } from "../task-states.ts";
import { startTime } from "../tasks/control/hold.ts";
import {
  DEADLINE,
  GIVEN_NAMES,
  GIVEN_VALUES,
  INSERT_TYPES,
  insertParams,
  PLACING_NAMES,
  WAKE,
} from "../tasks/submit.ts";

const LOCK: Statement = {
  name: "unique-key-lock-tasks",
  text: "select id from task where id = any($1::bigint[]) order by id for update",
};

const IDS = `$${INSERT_TYPES.length + 1}`;

/** Attempts of the task so far ran other work: none of them may go on, and no result of theirs is this task's. */
const FENCED_OPTIONS = `case when t.epoch = 0 then d.options::jsonb
    else coalesce(d.options::jsonb, '{}') || jsonb_build_object('replacedEpoch', t.epoch) end`;

const SET = GIVEN_VALUES.map(({ name, value }) => `${name} = ${name === "options" ? FENCED_OPTIONS : value}`);

const START = startTime(WAKE);

// The work is new: it has a fresh retry budget. It waits for the same tasks, if it waits for some, and then for its own time.
// A held one stays held. A claim at the same moment waits for the lock of the row, or this for the
// claim's: it takes the old work whole, or the new.
const REPLACE: Statement = {
  name: "unique-key-replace",
  text: `with d as materialized (
    select * from unnest(${INSERT_TYPES.map((type, index) => `$${index + 1}::${type}[]`).join(", ")}, ${IDS}::bigint[])
      as i(${PLACING_NAMES}, ${GIVEN_NAMES}, id)),
  done as (
    update task t
       set ${SET.join(", ")},
           class_id = d.class_id, priority = d.priority,
           wake_time = case when ${IS_WAITING} then t.wake_time else ${START.wakeTime} end,
           hold = case when ${IS_WAITING} then t.hold else ${START.hold} end,
           start_deadline = case when ${IS_WAITING} then null else ${DEADLINE} end,
           ready_time = now(), attempt_count = 0, oom_count = 0, requeue_counts = null, failure = null
      from d where t.id = d.id and t.state = ${STATE.queued}
    returning t.id, t.epoch, t.unique_key, octet_length(t.payload) as payload_bytes),
  waits as (
    update task_wait w
       set delay_ms = d.delay_ms, run_time = to_timestamp(d.run_at_ms / 1000), queue_wait_ms = d.queue_wait_ms
      from d where w.task_id = d.id),
  ev as (
    insert into event (name, task_id, epoch, attributes)
    select 'replaced', id, epoch, jsonb_build_object('unique_key', unique_key, 'payload_bytes', payload_bytes::text)
      from done order by id)
  select id from done`,
};

/** Locks tasks until the commit: what is queued stays queued, and what has been assigned is not requeued. */
export async function lockTasks(tx: Runner, ids: readonly number[]): Promise<void> {
  await tx.run(LOCK, [int8Array(ids)]);
}

/** Replaces queued tasks, which are locked, by their ids. */
export async function replaceTasks(tx: Runner, replacements: ReadonlyMap<number, TaskInsert>): Promise<void> {
  if (replacements.size === 0) return;
  const ids = [...replacements.keys()];
  const done = await tx.run(REPLACE, [...insertParams([...replacements.values()]), int8Array(ids)]);
  if (done.length !== ids.length)
    throw new Error(`${ids.length} queued tasks were to be replaced, and ${done.length} were`);
}
