/**
 * The transaction that inserts tasks that others decide: tasks with unique keys, which may be held, tasks whose concurrency
 * keys end some of them or have an order, and tasks that wait for others.
 */

import { limitOutcome } from "../../../domain/tasks/limits/limit-plan.ts";
import { type KeyPlan, planKeys, scopedKey } from "../../../domain/tasks/unique-keys/key-plan.ts";
import type { KeyHolder } from "../../../domain/tasks/unique-keys/unique-key.ts";
import type { InsertedTask, TaskInsert } from "../../claims.ts";
import { int8Array } from "../arrays.ts";
import { keepClasses } from "../concurrency/idle-classes.ts";
import { decideLimits, endByLimits, lockedKeysOf, lockPolicyKeys } from "../concurrency/limits.ts";
import { lockOrders } from "../concurrency/orders.ts";
import type { Database, Runner, Statement } from "../connection/database.ts";
import { joinBatch, writeBatch } from "../dependencies/batches.ts";
import { type Dependent, linkTasks } from "../dependencies/link-tasks.ts";
import { livingSessions } from "../locks.ts";
import {
  COLUMNS,
  EVENTS,
  INPUT,
  INSERT_TYPES,
  insertParams,
  perKeyClassIds,
  SCHEDULER_ID,
  SESSION_IDS,
  VALUES,
} from "../tasks/submit.ts";
import { giveKeys, type KeyOwner, keyOwners, lockKeys } from "./key-rows.ts";
import { lockTasks, replaceTasks } from "./replace.ts";

const IDS: Statement = {
  name: "task-ids",
  text: `select nextval(pg_get_serial_sequence('task', 'id'))::bigint as id from generate_series(1, $1::int)`,
};

// Before the keys: a statement that ends sessions locks their leases, then their tasks.
const LEASES: Statement = {
  name: "task-insert-leases",
  text: `with ${livingSessions("$1", "$2")} select session_id from living`,
};

const GIVEN_IDS = `$${INSERT_TYPES.length + 2}::bigint[]`;

const INSERT: Statement = {
  name: "task-insert-keyed",
  text: `with ${livingSessions(SESSION_IDS, SCHEDULER_ID)},
  ins as (
    insert into task (id, ${COLUMNS}) overriding system value
    select (${GIVEN_IDS})[d.ord], ${VALUES} from ${INPUT} d order by d.ord
    returning id, session_id),
  ${EVENTS}
  select id, session_id is not null as assigned from ins`,
};

/**
 * Inserts tasks of which others decide some in one transaction, in order.
 *
 * @throws UniqueKeyHeldError when tasks are refused for their keys; nothing was written.
 * @throws BatchRefusedError when tasks are to join a batch that takes none; nothing was written.
 * @throws UnknownPredecessorsError when tasks are to wait for some that do not exist; nothing was written.
 * @throws ClassesGoneError when classes have to be resolved again; nothing was written.
 * @throws DatabaseUnavailableError with `outcomeUnknown` when the tasks may or may not have been inserted.
 */
export function insertKeyedTasks(
  db: Database,
  tasks: readonly TaskInsert[],
  schedulerId: string | undefined,
): Promise<InsertedTask[]> {
  return db.batchTransaction((tx) => insertKeyed(tx, tasks, schedulerId));
}

/** The same in a transaction of the caller's. */
export async function insertKeyed(
  tx: Runner,
  tasks: readonly TaskInsert[],
  schedulerId: string | undefined,
): Promise<InsertedTask[]> {
  const limited = lockedKeysOf(tasks);
  await lockPolicyKeys(tx, limited);
  await lockOrders(tx, tasks);
  await keepClasses((statement, values) => tx.run(statement, values), perKeyClassIds(tasks));
  const sessionIds = tasks.flatMap(({ assignTo }) => assignTo ?? []);
  if (sessionIds.length > 0) await tx.run(LEASES, [int8Array(sessionIds), schedulerId ?? null]);
  const ids = (await tx.run<{ id: number }>(IDS, [tasks.length])).map(({ id }) => id);
  const keys = firstOfEachKey(tasks, ids);
  const fresh = new Map(
    (await lockKeys(tx, [...keys.values()])).map(({ queue, key }) => {
      const scoped = scopedKey(queue, key);
      return [scoped, keys.get(scoped)?.id];
    }),
  );
  const known = [...keys].filter(([scoped]) => !fresh.has(scoped)).map(([, key]) => key);
  const plan = planKeys(tasks, ids, await stableOwners(tx, known, tasks));
  await giveKeys(
    tx,
    [...plan.owners]
      .filter(([scoped, { id }]) => fresh.get(scoped) !== id)
      .map(([, { id, task }]) => ({ queue: task.queue, key: task.uniqueKey ?? "", id })),
  );
  await replaceTasks(tx, plan.replacements);
  const dependents = dependentsOf(tasks, ids, plan);
  if (limited.length === 0) {
    const assigned = await insert(tx, plan.inserts, schedulerId);
    const waiting = await link(tx, dependents, ids);
    await joinBatches(tx, tasks, plan);
    return answersOf(plan, assigned, waiting);
  }
  const limits = await decideLimits(tx, limited, plan.inserts);
  const assigned = await insert(tx, plan.inserts, schedulerId);
  const waiting = await link(tx, dependents, ids);
  await joinBatches(tx, tasks, plan);
  const ended = await endByLimits(tx, limits);
  return answersOf(plan, assigned, waiting).map((answer) => {
    const outcome = limitOutcome(answer.id, limits, ended);
    return outcome ? { ...answer, limits: outcome } : answer;
  });
}

/** Each key once, with the id of its first task. */
function firstOfEachKey(tasks: readonly TaskInsert[], ids: readonly number[]): Map<string, KeyOwner> {
  const keys = new Map<string, KeyOwner>();
  tasks.forEach(({ task: { queue, uniqueKey: key } }, index) => {
    const id = ids[index];
    if (key === undefined || id === undefined) return;
    const scoped = scopedKey(queue, key);
    if (!keys.has(scoped)) keys.set(scoped, { queue, key, id });
  });
  return keys;
}

/** The owners of keys whose rows are locked. Those that a task may replace are locked, too: their states stay. */
async function stableOwners(
  tx: Runner,
  keys: readonly KeyOwner[],
  tasks: readonly TaskInsert[],
): Promise<Map<string, KeyHolder>> {
  if (keys.length === 0) return new Map();
  const owners = await ownersOf(tx, keys);
  const replaceable = new Set(
    tasks.flatMap(({ task: { queue, uniqueKey, onConflict } }) => {
      if (uniqueKey === undefined || onConflict !== "replace") return [];
      return owners.get(scopedKey(queue, uniqueKey))?.id ?? [];
    }),
  );
  if (replaceable.size === 0) return owners;
  await lockTasks(tx, [...replaceable]);
  return ownersOf(tx, keys);
}

async function ownersOf(tx: Runner, keys: readonly KeyOwner[]): Promise<Map<string, KeyHolder>> {
  const rows = await keyOwners((statement, values) => tx.run(statement, values), keys);
  return new Map(rows.map(({ queue, key, owner }) => [scopedKey(queue, key), owner]));
}

/** Returns which of the tasks were assigned. */
async function insert(
  tx: Runner,
  inserts: ReadonlyMap<number, TaskInsert>,
  schedulerId: string | undefined,
): Promise<ReadonlySet<number>> {
  if (inserts.size === 0) return new Set();
  const rows = await tx.run<{ id: number; assigned: boolean }>(INSERT, [
    ...insertParams([...inserts.values()]),
    schedulerId ?? null,
    int8Array([...inserts.keys()]),
  ]);
  return new Set(rows.filter(({ assigned }) => assigned).map(({ id }) => id));
}

/** The inserted tasks that are to wait for others, each predecessor once: the stricter condition counts. */
function dependentsOf(
  tasks: readonly TaskInsert[],
  ids: readonly number[],
  plan: KeyPlan<TaskInsert>,
): Dependent[] {
  return tasks.flatMap(({ task }, index): Dependent[] => {
    const taskId = ids[index];
    if (task.after === undefined || taskId === undefined || plan.answers[index]?.id !== taskId) return [];
    const after = new Map<number, Dependent["after"][number]>();
    task.after.forEach((each, position) => {
      const id = "entry" in each ? (plan.answers[each.entry]?.id ?? 0) : each.taskId;
      const { condition } = each;
      if (after.get(id)?.condition !== "succeeded") after.set(id, { taskId: id, condition, position });
    });
    const { delayMs, runAtMs, options } = plan.inserts.get(taskId)?.task ?? task;
    const queueWaitMs = options?.timeouts?.queueWaitMs;
    return [{ taskId, index, delayMs, runAtMs, queueWaitMs, after: [...after.values()] }];
  });
}

/** Ids of the tasks that wait. */
async function link(
  tx: Runner,
  dependents: readonly Dependent[],
  ids: readonly number[],
): Promise<ReadonlySet<number>> {
  return dependents.length === 0 ? new Set() : linkTasks(tx, dependents, new Set(ids));
}

/** Makes tasks members of their batches, and the holder of a unique key in place of a task that met it. */
async function joinBatches(
  tx: Runner,
  tasks: readonly TaskInsert[],
  plan: KeyPlan<TaskInsert>,
): Promise<void> {
  const members = new Map<number, number[]>();
  tasks.forEach(({ task: { batchId } }, index) => {
    const id = plan.answers[index]?.id;
    if (batchId === undefined || id === undefined) return;
    const own = members.get(batchId);
    if (own) own.push(id);
    else members.set(batchId, [id]);
  });
  for (const [batchId, ids] of Array.from(members).sort(([a], [b]) => a - b))
    await joinBatch(tx, batchId, ids);
}

/** Creates a batch with its completion task, which waits; returns its id. */
export function createBatch(
  db: Database,
  description: string,
  completion: TaskInsert | undefined,
): Promise<number> {
  return db.batchTransaction(async (tx) => {
    const [row] = await tx.run<{ id: number }>(IDS, [1]);
    if (!row) throw new Error("no id was given to a batch");
    if (completion) {
      await keepClasses((statement, values) => tx.run(statement, values), perKeyClassIds([completion]));
      await insert(tx, new Map([[row.id, completion]]), undefined);
    }
    await writeBatch(
      tx,
      row.id,
      description,
      completion && {
        delayMs: completion.task.delayMs,
        runAtMs: completion.task.runAtMs,
        queueWaitMs: completion.task.options?.timeouts?.queueWaitMs,
      },
    );
    return row.id;
  });
}

function answersOf(
  plan: KeyPlan<TaskInsert>,
  assigned: ReadonlySet<number>,
  waiting: ReadonlySet<number>,
): InsertedTask[] {
  return plan.answers.map(({ id, conflict }) =>
    conflict
      ? { id, duplicate: conflict.outcome === "returned", assigned: false, conflict }
      : {
          id,
          duplicate: false,
          assigned: assigned.has(id),
          ...(waiting.has(id) ? { waitsForTasks: true } : {}),
        },
  );
}
