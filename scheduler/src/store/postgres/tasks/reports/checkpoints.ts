/** Writes checkpoints of running attempts, and reads those of claimed tasks. */
import { DatabaseUnavailableError } from "../../../../domain/errors.ts";
import type { Checkpoint, CheckpointSummary } from "../../../../domain/tasks/attempts/checkpoint.ts";
import type { TaskOptions } from "../../../../domain/tasks/task.ts";
import type { NewCheckpoint } from "../../../checkpoints.ts";
import { byteaArray, int4Array, int8Array, textArray } from "../../arrays.ts";
import type { Database, Statement } from "../../connection/database.ts";
import { inLockOrder } from "../../locks.ts";
import { ACTIVE } from "../../task-states.ts";
import { DEFAULT_CONTENT_TYPE } from "../task-columns.ts";

/** Checkpoints that one statement reads: their values are 8 MiB at most. */
const MAX_READ = 32;

// The lock keeps the attempt current until the commit: whoever ends it waits, and the next claim's snapshot has the checkpoint.
// Only the first one writes the task's row. A row without the mark is left over of a task that was begun afresh: it is replaced
// as well, because epochs only grow.
const PUT: Statement = {
  name: "checkpoint-put",
  text: `with d as materialized (
    select * from unnest($1::bigint[], $2::int[], $3::bigint[], $4::text[], $5::bytea[])
      as d(id, epoch, sequence, content_type, data)),
  held as materialized (
    select t.id, coalesce(t.options ? 'checkpointed', false) as marked
      from (select id, epoch from d order by id) w
     cross join lateral (
       select t.id, t.options from task t
        where t.id = w.id and t.epoch = w.epoch and t.state in ${ACTIVE} for no key update) t),
  mark as (
    update task t set options = coalesce(t.options, '{}') || '{"checkpointed": true}'
      from held where t.id = held.id and not held.marked),
  put as (
    insert into task_checkpoint as c (task_id, epoch, sequence, content_type, data)
    select d.id, d.epoch, d.sequence, d.content_type, d.data from d join held using (id) order by d.id
    on conflict (task_id) do update
       set epoch = excluded.epoch, sequence = excluded.sequence, content_type = excluded.content_type,
           data = excluded.data, update_time = now()
     where (excluded.epoch, excluded.sequence) > (c.epoch, c.sequence))
  select id from held`,
};

const OF_CLAIMED: Statement = {
  name: "checkpoint-of-claimed",
  text: `select task_id, epoch, content_type, data, extract(epoch from now() - update_time)::float8 * 1000 as age_ms
    from task_checkpoint where task_id = any($1::bigint[])`,
};

const SUMMARY: Statement = {
  name: "checkpoint-summary",
  text: `select epoch, content_type, octet_length(data) as value_bytes, update_time from task_checkpoint where task_id = $1`,
};

/** Stores checkpoints; answers which tasks were at the attempts that report them. */
export async function putCheckpoints(
  db: Database,
  checkpoints: readonly NewCheckpoint[],
): Promise<readonly number[]> {
  const sorted = inLockOrder(checkpoints, ({ key }) => key.taskId);
  const rows = await db.hotRetrying<{ id: number }>(PUT, [
    int8Array(sorted.map(({ key }) => key.taskId)),
    int4Array(sorted.map(({ key }) => key.epoch)),
    int8Array(sorted.map(({ sequence }) => sequence)),
    textArray(sorted.map(({ contentType }) => (contentType === DEFAULT_CONTENT_TYPE ? null : contentType))),
    byteaArray(sorted.map(({ value }) => value)),
  ]);
  return rows.map(({ id }) => id);
}

/** The same attempts with their tasks' checkpoints. Does nothing when none has one. */
export async function withCheckpoints<
  T extends { readonly taskId: number; readonly options: TaskOptions | undefined },
>(db: Database, claimed: T[]): Promise<(T & { readonly checkpoint?: Checkpoint })[]> {
  const ids = claimed.flatMap(({ taskId, options }) => (options?.checkpointed ? [taskId] : []));
  if (ids.length === 0) return claimed;
  const found = new Map<number, Checkpoint>();
  for (let start = 0; start < ids.length; start += MAX_READ) {
    const part = ids.slice(start, start + MAX_READ);
    const rows = await readOf(db, part);
    for (const { task_id, epoch, content_type, data, age_ms } of rows)
      found.set(task_id, {
        ...{ epoch, value: data, ageMs: age_ms },
        contentType: content_type ?? DEFAULT_CONTENT_TYPE,
      });
  }
  return claimed.map((attempt) => {
    const checkpoint = found.get(attempt.taskId);
    return checkpoint ? { ...attempt, checkpoint } : attempt;
  });
}

/** @throws DatabaseUnavailableError of unknown outcome: the tasks are claimed, and have to be found again. */
async function readOf(db: Database, taskIds: readonly number[]): Promise<CheckpointColumns[]> {
  try {
    return await db.hotRetrying<CheckpointColumns>(OF_CLAIMED, [int8Array(taskIds)]);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new DatabaseUnavailableError(`checkpoints of claimed tasks were not read: ${why}`, true, error);
  }
}

interface CheckpointColumns {
  task_id: number;
  epoch: number;
  content_type: string | null;
  data: Buffer;
  age_ms: number;
}

/** What is known of a task's checkpoint, whose task has the mark. */
export async function checkpointOf(db: Database, taskId: number): Promise<CheckpointSummary | undefined> {
  const [row] = await db.cold<{
    epoch: number;
    content_type: string | null;
    value_bytes: number;
    update_time: Date;
  }>(SUMMARY, [taskId]);
  return (
    row && {
      epoch: row.epoch,
      valueBytes: row.value_bytes,
      contentType: row.content_type ?? DEFAULT_CONTENT_TYPE,
      updateTime: row.update_time,
    }
  );
}
