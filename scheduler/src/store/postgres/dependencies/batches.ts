/** Creates, closes, reads and cancels batches. */
import type { BatchRecord, ListedBatch } from "../../../domain/tasks/batch.ts";
import { BatchRefusedError } from "../../../domain/tasks/batch.ts";
import type { LinkedTask } from "../../../domain/tasks/dependencies/dependencies.ts";
import type { TaskState } from "../../../domain/tasks/task.ts";
import type { BatchCancelStep, BatchStore } from "../../batches.ts";
import { int2Array, int8Array } from "../arrays.ts";
import type { Database, Runner, Statement } from "../connection/database.ts";
import { STATE, stateOf } from "../task-states.ts";
import { statesOf } from "./link-tasks.ts";
import { LINKS } from "./links.ts";
import { LINKED_COLUMNS, type LinkedRow, linked, toLinked } from "./read-links.ts";

const CREATE: Statement = {
  name: "batch-create",
  text: `with made as (
    insert into batch (id, title, has_completion) values ($1, $2, $3)),
  open as (
    insert into task_dependency (task_id, predecessor_id, success) values ($1, -$1::bigint, false)),
  wait as (
    insert into task_wait (task_id, open_count, delay_ms, run_time, queue_wait_ms)
    select $1, 1, $4::float8, to_timestamp($5::float8 / 1000), $6::float8 where $3),
  ev as (
    insert into event (name, attributes)
    values ('batch.created', jsonb_build_object('batch', 'b-' || $1::bigint, 'title', $2::text)))
  update task t set wake_time = 'infinity', start_deadline = null, links = coalesce(t.links, 0) | ${LINKS.dependent}
   where t.id = $1 and $3`,
};

// A close of the batch waits for submits, or they for it.
const LOCK_OPEN: Statement = {
  name: "batch-lock-open",
  text: "select close_time is null as open from batch where id = $1 for share",
};

const JOIN: Statement = {
  name: "batch-join",
  text: `with made as (
    insert into task_dependency (task_id, predecessor_id, success, end_state, end_time)
    select $1, id, false, end_state, case when end_state is not null then now() end
      from unnest($2::bigint[], $3::smallint[]) with ordinality as u(id, end_state, ord) order by ord
    on conflict (task_id, predecessor_id) do nothing
    returning end_state)
  update task_wait set open_count = open_count + (select count(*) from made where end_state is null) where task_id = $1`,
};

// The dependency on the batch itself ends as that on a task does.
const CLOSE = (name: string, set: string, condition: string): Statement => ({
  name,
  text: `with done as (
    update batch set ${set} where id = $1 and ${condition} returning id, close_time),
  ended as (
    insert into dependency_end (predecessor_id, state, cause, last_id)
    select d.predecessor_id, ${STATE.succeeded}, '{}', d.id
      from done join task_dependency d on d.task_id = done.id and d.predecessor_id = -done.id
     where d.end_time is null
       and not exists (select from dependency_end e where e.predecessor_id = -done.id)
    returning id)
  select exists (select from batch where id = $1) as found, pg_notify('muster', '{"kind":"ends"}') as hint
    from (select count(*) from ended) e`,
});

const CLOSE_BATCH = CLOSE("batch-close", "close_time = now()", "close_time is null");
const CANCEL_BATCH = CLOSE(
  "batch-cancel",
  "close_time = coalesce(close_time, now()), cancel_time = now(), cancel_reason = $2, cancel_done_id = 0",
  "cancel_time is null",
);

const GET: Statement = {
  name: "batch-get",
  text: "select * from batch where id = $1",
};

// A member that has ended and is not counted yet has no row among the open tasks.
const countsOf = (members: string): string => `
    select coalesce(d.end_state, t.state, f.state, ${STATE.cancelled}) as state, count(*) as count
      from ${members} d
      left join task t on d.end_state is null and t.id = d.predecessor_id
      left join lateral (
        select state from task_finished
         where d.end_state is null and t.id is null and id = d.predecessor_id limit 1) f on true
     group by 1`;

const COUNTS: Statement = {
  name: "batch-counts",
  text: countsOf("(select * from task_dependency where task_id = $1 and predecessor_id > 0)"),
};

/** Members of each batch of a list that are counted: a page of 100 batches reads a million at most. */
const MAX_COUNTED = 10_000;

const LIST: Statement = {
  name: "batch-list",
  text: `with b as materialized (
    select * from batch
     where ($1::bigint is null or id < $1) and (not $2 or close_time is null)
       and ($3::text is null or position(lower($3) in lower(title)) > 0)
     order by id desc limit $4)
  select b.*, (
      select json_object_agg(state, count) from (${countsOf(`(
        select * from task_dependency where task_id = b.id and predecessor_id > 0 limit ${MAX_COUNTED + 1})`)}) c) as counts
    from b order by b.id desc`,
};

const NEXT_CANCEL: Statement = {
  name: "batch-next-cancel",
  text: `select b.id, b.cancel_reason, m.task_id
    from (select * from batch where cancel_done_id is not null order by id limit 1) b
    left join lateral (
      select predecessor_id as task_id from task_dependency
       where task_id = b.id and predecessor_id > b.cancel_done_id and end_time is null
       order by predecessor_id limit $1) m on true`,
};

const CANCELLED: Statement = {
  name: "batch-cancelled",
  text: "update batch set cancel_done_id = $2 where id = $1",
};

const TASKS: Statement = {
  name: "batch-tasks",
  text: `select d.predecessor_id as task_id, ${LINKED_COLUMNS}
    from (select * from task_dependency where task_id = $1 and predecessor_id > $2 order by predecessor_id limit $3) d
    ${linked("d.predecessor_id")}
   order by d.predecessor_id`,
};

/** When the completion task may start after the last end. */
export interface CompletionTimes {
  readonly delayMs: number | undefined;
  readonly runAtMs: number | undefined;
  readonly queueWaitMs: number | undefined;
}

/** Writes a batch; its completion task, if it has one, was inserted with its id. */
export async function writeBatch(
  tx: Runner,
  id: number,
  title: string,
  completion: CompletionTimes | undefined,
): Promise<void> {
  const { delayMs, runAtMs, queueWaitMs } = completion ?? {};
  await tx.run(CREATE, [
    ...[id, title, completion !== undefined],
    ...[delayMs ?? null, runAtMs ?? null, queueWaitMs ?? null],
  ]);
}

/** Makes tasks members of a batch. @throws BatchRefusedError */
export async function joinBatch(tx: Runner, batchId: number, members: readonly number[]): Promise<void> {
  const [batch] = await tx.run<{ open: boolean }>(LOCK_OPEN, [batchId]);
  if (!batch?.open) throw new BatchRefusedError(batchId, batch ? "closed" : "unknown");
  const ids = [...new Set(members)];
  const states = await statesOf(tx, ids);
  const ends = ids.map((id) => states.get(id));
  await tx.run(JOIN, [
    batchId,
    int8Array(ids),
    int2Array(ends.map((end) => (end === undefined || end === "open" ? null : STATE[end]))),
  ]);
}

interface BatchRow {
  id: number;
  title: string;
  has_completion: boolean;
  create_time: Date;
  close_time: Date | null;
  cancel_time: Date | null;
  cancel_reason: string | null;
}

export async function getBatch(db: Database, id: number): Promise<BatchRecord | undefined> {
  const [row] = await db.cold<BatchRow>(GET, [id]);
  if (!row) return undefined;
  return { ...toBatch(row), counts: toCounts(await db.cold<StateCount>(COUNTS, [id])) };
}

/** Batches, newest first, with the counts of those that have few members. */
export async function listBatches(
  db: Database,
  { beforeId, open, title, limit }: Parameters<BatchStore["listBatches"]>[0],
): Promise<ListedBatch[]> {
  const rows = await db.cold<BatchRow & { counts: Record<string, number> | null }>(LIST, [
    beforeId ?? null,
    open,
    title ?? null,
    limit,
  ]);
  return rows.map((row) => {
    const counted = Object.entries(row.counts ?? {}).map(([state, count]) => ({
      state: Number(state),
      count,
    }));
    const members = counted.reduce((sum, { count }) => sum + count, 0);
    return { ...toBatch(row), counts: members > MAX_COUNTED ? undefined : toCounts(counted) };
  });
}

interface StateCount {
  state: number;
  count: number;
}

function toCounts(counted: readonly StateCount[]): Record<TaskState, number> {
  const counts = { queued: 0, assigned: 0, running: 0, succeeded: 0, failed: 0, cancelled: 0 };
  for (const { state, count } of counted) counts[stateOf(state)] = count;
  return counts;
}

function toBatch(row: BatchRow): Omit<BatchRecord, "counts"> {
  return {
    id: row.id,
    title: row.title,
    hasCompletion: row.has_completion,
    createTime: row.create_time,
    closeTime: row.close_time ?? undefined,
    cancelTime: row.cancel_time ?? undefined,
    cancelReason: row.cancel_reason ?? undefined,
  };
}

export async function closeBatch(db: Database, id: number): Promise<boolean> {
  const [row] = await db.cold<{ found: boolean }>(CLOSE_BATCH, [id]);
  return row?.found ?? false;
}

export async function requestBatchCancel(db: Database, id: number, reason: string): Promise<boolean> {
  const [row] = await db.cold<{ found: boolean }>(CANCEL_BATCH, [id, reason]);
  return row?.found ?? false;
}

export async function nextBatchCancel(db: Database, limit: number): Promise<BatchCancelStep | undefined> {
  interface Row {
    id: number;
    cancel_reason: string;
    task_id: number | null;
  }
  const rows = await db.cold<Row>(NEXT_CANCEL, [limit]);
  const [first] = rows;
  return (
    first && {
      batchId: first.id,
      reason: first.cancel_reason,
      taskIds: rows.flatMap(({ task_id }) => task_id ?? []),
      lastPosition: rows.at(-1)?.task_id ?? undefined,
    }
  );
}

export async function batchCancelled(db: Database, id: number, position: number | undefined): Promise<void> {
  await db.cold(CANCELLED, [id, position ?? null]);
}

export async function batchTasks(
  db: Database,
  id: number,
  after: number,
  limit: number,
): Promise<{ tasks: LinkedTask[]; lastPosition: number | undefined }> {
  const rows = await db.cold<LinkedRow>(TASKS, [id, after, limit + 1]);
  const page = rows.slice(0, limit);
  return { tasks: page.map(toLinked), lastPosition: rows.length > limit ? page.at(-1)?.task_id : undefined };
}
