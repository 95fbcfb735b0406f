/** Changes where locked tasks wait: their queue, or their priority. */
import type { TaskClass } from "../../../domain/matching/match.ts";
import { isStrict } from "../../../domain/tasks/limits/concurrency.ts";
import type { FoundTask, SkipCode, TaskChange } from "../../../domain/tasks/task-change.ts";
import { scopedKey } from "../../../domain/tasks/unique-keys/key-plan.ts";
import { holdsKey } from "../../../domain/tasks/unique-keys/unique-key.ts";
import type { WantedClass } from "../../classes.ts";
import { int4Array, int8Array, textArray } from "../arrays.ts";
import { IS_PER_KEY, keepClasses } from "../concurrency/idle-classes.ts";
import type { Database, Runner, Statement } from "../connection/database.ts";
import { aloneClasses, classesById, resolveClasses } from "../tasks/classes.ts";
import { giveKeys, type KeyOwner, keyOwners, lockKeys, type QueueKey } from "../unique-keys/key-rows.ts";
import type { Carried, Carrying, KeysOfMoved, LockedTask } from "./carrying.ts";

// The age stays: what has waited for long does not wait anew.
const MOVE: Statement = {
  name: "change-move",
  text: `with moved as (
    update task t set class_id = d.class_id
      from unnest($1::bigint[], $2::int[], $3::text[]) as d(id, class_id, queue) where t.id = d.id
    returning t.id, t.class_id, t.priority, t.epoch, d.queue),
  ev as (
    insert into event (name, task_id, epoch, attributes)
    select 'moved', id, epoch, jsonb_build_object('from', queue, 'to', $4::text, 'reason', $5::text) from moved)
  select id, class_id, priority from moved`,
};

const SET_PRIORITY: Statement = {
  name: "change-priority",
  text: `with changed as (
    update task t set priority = $4, class_id = d.class_id
      from unnest($1::bigint[], $2::int[], $3::int[]) as d(id, class_id, priority) where t.id = d.id
    returning t.id, t.class_id, t.priority, t.epoch, d.priority as before),
  ev as (
    insert into event (name, task_id, epoch, attributes)
    select 'priority_changed', id, epoch,
           jsonb_build_object('from', before::text, 'to', priority::text, 'reason', $5::text) from changed)
  select id, class_id, priority from changed`,
};

const DROP_KEYS: Statement = {
  name: "change-drop-keys",
  text: `delete from task_key k using unnest($1::text[], $2::text[], $3::bigint[]) as d(queue, key, id)
    where k.queue = d.queue and k.key = d.key and k.task_id = d.id`,
};

interface Placed {
  id: number;
  class_id: number;
  priority: number;
}

/** For each class of the tasks the one that the change gives them, which is made when it is new. Classes that stay are missing. */
export async function changedClasses(
  db: Database,
  change: TaskChange,
  tasks: readonly Pick<FoundTask, "classId">[],
): Promise<ReadonlyMap<number, number>> {
  if (change.kind !== "move" && change.kind !== "set_priority") return new Map();
  const classes = await classesById(db, [...new Set(tasks.map(({ classId }) => classId))]);
  const changed = classes.flatMap((from) => {
    const wanted = wantedClass(from, change);
    return wanted ? [{ from, wanted }] : [];
  });
  if (changed.length === 0) return new Map();
  const made = await resolveClasses(
    db,
    changed.map(({ wanted }) => wanted),
  );
  const ids = changed.map((_, index) => made[index]?.id ?? 0);
  const apart = ids.filter((_, index) => changed[index]?.from.alone);
  const aloneIds =
    apart.length > 0
      ? await aloneClasses((statement, values) => db.cold(statement, values), [...new Set(apart)])
      : new Map<number, number>();
  return new Map(
    changed.map(({ from }, index) => {
      const id = ids[index] ?? 0;
      return [from.id, from.alone ? (aloneIds.get(id) ?? id) : id];
    }),
  );
}

/** Undefined for a class that stays. Tasks with a strict order are in a class for each priority. */
function wantedClass(
  { queue, type, requirements, concurrency, rateLimits, circuit, fairness }: TaskClass,
  change: Extract<TaskChange, { kind: "move" | "set_priority" }>,
): WantedClass | undefined {
  const same = { type, requirements, rateLimits, circuit, fairness };
  if (change.kind === "move")
    return change.queue === queue ? undefined : { ...same, queue: change.queue, concurrency };
  if (!isStrict(concurrency)) return undefined;
  const { priority } = change;
  return {
    ...{ ...same, queue },
    concurrency: concurrency?.map((key) => (key.strict ? { ...key, strict: { priority } } : key)),
  };
}

/** Locks the keys of tasks in both queues. */
export async function lockKeysOfMoved(
  tx: Runner,
  tasks: readonly FoundTask[],
  queue: string,
): Promise<KeysOfMoved> {
  const wanted = new Map<string, KeyOwner>();
  for (const { id, queue: from, uniqueKey: key = "" } of tasks)
    for (const each of [from, queue]) {
      const scoped = scopedKey(each, key);
      if (!wanted.has(scoped)) wanted.set(scoped, { queue: each, key, id });
    }
  const made = new Set(
    (await lockKeys(tx, [...wanted.values()])).map((each) => scopedKey(each.queue, each.key)),
  );
  const there: QueueKey[] = tasks.map(({ uniqueKey: key = "" }) => ({ queue, key }));
  const owners = await keyOwners((statement, values) => tx.run(statement, values), there);
  return {
    // A row that was there before belongs to a task in that queue: also when that one is to be moved there, and so stays.
    held: new Set(
      owners.flatMap(({ key, owner }) => (!made.has(scopedKey(queue, key)) && holdsKey(owner) ? [key] : [])),
    ),
    fresh: [...wanted].flatMap(([scoped, owner]) => (made.has(scoped) ? [owner] : [])),
  };
}

export async function moveFound(
  tx: Runner,
  { tasks, keys: { moved: keys = NO_KEYS }, classes, reason }: Carrying,
  queue: string,
): Promise<Carried> {
  const { free, held } = divide(tasks, keys.held);
  const placed = free.flatMap((task) => {
    const classId = classes.get(task.classId);
    // Its class changed since it was found.
    return classId === undefined ? [] : [{ task, classId }];
  });
  await keepPerKey(tx, placed);
  const rows =
    placed.length > 0
      ? await tx.run<Placed>(MOVE, [
          int8Array(placed.map(({ task }) => task.id)),
          int4Array(placed.map(({ classId }) => classId)),
          textArray(placed.map(({ task }) => task.queue)),
          queue,
          reason,
        ])
      : [];
  const keyed = placed.flatMap(({ task: { id, queue: from, uniqueKey: key } }) =>
    key === undefined ? [] : [{ id, from, key }],
  );
  await giveKeys(
    tx,
    keyed.map(({ id, key }) => ({ queue, key, id })),
  );
  const owned = new Set(keyed.map(({ key }) => scopedKey(queue, key)));
  await dropKeys(tx, [
    ...keyed.map(({ id, from, key }) => ({ queue: from, key, id })),
    ...keys.fresh.filter((fresh) => !owned.has(scopedKey(fresh.queue, fresh.key))),
  ]);
  return {
    waiting: rows.map(toWaiting),
    skipped: held.map(({ id }) => ({ id, code: "UNIQUE_KEY_HELD" satisfies SkipCode })),
  };
}

const NO_KEYS: KeysOfMoved = { held: new Set(), fresh: [] };

/** Of the tasks with one key the newest gets it. */
function divide(
  tasks: readonly LockedTask[],
  heldKeys: ReadonlySet<string>,
): { free: LockedTask[]; held: LockedTask[] } {
  const taken = new Set(heldKeys);
  const free: LockedTask[] = [];
  const held: LockedTask[] = [];
  for (const task of [...tasks].sort((a, b) => b.id - a.id)) {
    const { uniqueKey } = task;
    if (uniqueKey !== undefined && taken.has(uniqueKey)) held.push(task);
    else {
      free.push(task);
      if (uniqueKey !== undefined) taken.add(uniqueKey);
    }
  }
  return { free, held };
}

export async function reprioritise(
  tx: Runner,
  { tasks, classes, reason }: Carrying,
  priority: number,
): Promise<Carried> {
  if (tasks.length === 0) return {};
  const placed = tasks.map((task) => ({ task, classId: classes.get(task.classId) ?? task.classId }));
  await keepPerKey(
    tx,
    placed.filter(({ task, classId }) => classId !== task.classId),
  );
  const rows = await tx.run<Placed>(SET_PRIORITY, [
    int8Array(placed.map(({ task }) => task.id)),
    int4Array(placed.map(({ classId }) => classId)),
    int4Array(placed.map(({ task }) => task.priority)),
    priority,
    reason,
  ]);
  return { waiting: rows.map(toWaiting) };
}

/** @throws ClassesGoneError when one of the classes is not in use any more. */
export async function keepPerKey(tx: Runner, placed: readonly { readonly classId: number }[]): Promise<void> {
  const ids = [...new Set(placed.map(({ classId }) => classId))];
  if (ids.length === 0) return;
  const rows = await tx.run<{ id: number }>(PER_KEY, [int4Array(ids)]);
  await keepClasses(
    (statement, values) => tx.run(statement, values),
    rows.map(({ id }) => id),
  );
}

const PER_KEY: Statement = {
  name: "change-per-key",
  text: `select c.id from task_class c where c.id = any($1::int[]) and ${IS_PER_KEY}`,
};

async function dropKeys(tx: Runner, keys: readonly KeyOwner[]): Promise<void> {
  if (keys.length === 0) return;
  await tx.run(DROP_KEYS, [
    textArray(keys.map(({ queue }) => queue)),
    textArray(keys.map(({ key }) => key)),
    int8Array(keys.map(({ id }) => id)),
  ]);
}

function toWaiting({ id, class_id: classId, priority }: Placed) {
  return { id, classId, priority };
}
