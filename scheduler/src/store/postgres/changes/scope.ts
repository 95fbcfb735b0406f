/** Finds out where the tasks of a change are when it begins. */
import { type ChangeFilter, type TaskChange, wantedStates } from "../../../domain/tasks/task-change.ts";
import { END_STATES, OPEN_STATES, type TaskState } from "../../../domain/tasks/task-state.ts";
import type { ChangeScope, ChangeSource, CutOff } from "../../task-changes.ts";
import type { Database, Statement } from "../connection/database.ts";
import type { RowConditions } from "../tasks/find/conditions.ts";

const CUT_OFF: Statement = {
  name: "change-cut-off",
  text: `select greatest((select coalesce(max(id), 0) from task), (select coalesce(max(id), 0) from task_finished)) as task_id,
      date_part('epoch', now()) * 1000 as time_ms`,
};

// A loose index scan, from one class with open tasks to the next.
const OPEN_CLASSES: Statement = {
  name: "change-classes",
  text: `with recursive open as (
    (select class_id from task order by class_id limit 1)
    union all
    select (select t.class_id from task t where t.class_id > open.class_id order by t.class_id limit 1)
      from open where open.class_id is not null)
  select c.id from open cross join lateral (select id, queue, type from task_class where id = open.class_id) c
   where (cardinality($1::text[]) = 0 or c.queue = any($1)) and (cardinality($2::text[]) = 0 or c.type = any($2))
     and c.queue is distinct from $3
   order by c.id`,
};

const KEY_OWNERS: Statement = {
  name: "change-key-owners",
  text: `select k.task_id as id
    from (select name from queue where cardinality($1::text[]) = 0 or name = any($1)) q
    cross join lateral (select task_id from task_key where queue = q.name and key = $2) k`,
};

const QUEUE: Statement = { name: "change-queue", text: "select name from queue where name = $1" };

const MAKE_QUEUE: Statement = {
  name: "change-make-queue",
  text: "insert into queue (name) values ($1) on conflict (name) do nothing",
};

export async function changeScope(
  db: Database,
  change: TaskChange,
  filter: ChangeFilter,
  cutOff: CutOff | undefined,
): Promise<ChangeScope> {
  const states = wantedStates(change, filter);
  const taskIds = await namedIds(db, filter);
  const sources: readonly ChangeSource[] = taskIds ? ["ids"] : sourcesOf(filter, states);
  return {
    change,
    filter,
    states,
    cutOff: cutOff ?? (await readCutOff(db)),
    sources,
    taskIds: taskIds ?? [],
    classIds: sources.includes("open") ? await openClasses(db, change, filter) : [],
  };
}

/** The conditions of the filter: ages count from the beginning of the change. */
export function conditionsOf({
  filter,
  states,
  cutOff,
}: Pick<ChangeScope, "cutOff" | "filter" | "states">): RowConditions {
  const ago = (ms: number | undefined) => (ms === undefined ? undefined : cutOff.timeMs - ms);
  return {
    ...filter,
    states,
    created: { fromMs: ago(filter.maxAgeMs), toMs: ago(filter.minAgeMs) },
    ended: { fromMs: ago(filter.maxEndedAgeMs), toMs: ago(filter.minEndedAgeMs) },
  };
}

/** Whether the queue exists; makes it where that is asked for. */
export async function queueExists(db: Database, name: string, make: boolean): Promise<boolean> {
  if (make) await db.cold(MAKE_QUEUE, [name]);
  return (await db.cold(QUEUE, [name])).length > 0;
}

function sourcesOf(filter: ChangeFilter, states: readonly TaskState[]): ChangeSource[] {
  if (filter.batchId !== undefined) return ["members"];
  const { details, minEndedAgeMs, maxEndedAgeMs } = filter;
  const ofEnded = details.length > 0 || minEndedAgeMs !== undefined || maxEndedAgeMs !== undefined;
  const hasOne = (of: readonly TaskState[]) => states.some((state) => of.includes(state));
  return [
    ...(hasOne(END_STATES) ? ["ended" as const] : []),
    ...(hasOne(OPEN_STATES) && !ofEnded ? ["open" as const] : []),
  ];
}

/** Ids that the filter names, ascending; undefined when it names none. */
async function namedIds(db: Database, filter: ChangeFilter): Promise<number[] | undefined> {
  const { taskIds, uniqueKey, queues } = filter;
  if (uniqueKey === undefined) return taskIds.length > 0 ? ascending(taskIds) : undefined;
  const owners = await db.cold<{ id: number }>(KEY_OWNERS, [queues, uniqueKey]);
  const ids = owners.map(({ id }) => id);
  return ascending(taskIds.length > 0 ? ids.filter((id) => taskIds.includes(id)) : ids);
}

function ascending(ids: readonly number[]): number[] {
  return [...new Set(ids)].sort((a, b) => a - b);
}

async function readCutOff(db: Database): Promise<CutOff> {
  const [row] = await db.cold<{ task_id: number; time_ms: number }>(CUT_OFF, []);
  return { taskId: row?.task_id ?? 0, timeMs: row?.time_ms ?? 0 };
}

/** A class of the queue that tasks are moved to has only tasks that are there already. */
async function openClasses(db: Database, change: TaskChange, filter: ChangeFilter): Promise<number[]> {
  const except = change.kind === "move" ? change.queue : null;
  const rows = await db.cold<{ id: number }>(OPEN_CLASSES, [filter.queues, filter.types, except]);
  return rows.map(({ id }) => id);
}
