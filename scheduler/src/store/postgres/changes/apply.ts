/** Changes tasks in one transaction: locks them, decides about each, and carries that out. */
import { ClassesGoneError } from "../../../domain/errors.ts";
import { type FoundTask, type SkipCode, skipOf, type TaskChange } from "../../../domain/tasks/task-change.ts";
import type { ChangedTasks, ChangeScope } from "../../task-changes.ts";
import type { RetryWish } from "../../tasks.ts";
import { int8Array } from "../arrays.ts";
import type { Database, Runner, Statement } from "../connection/database.ts";
import { hasDependencies } from "../dependencies/retry-dependent.ts";
import { Parameters } from "../parameters.ts";
import { retryTask } from "../tasks/control/cancel-retry.ts";
import { conditions } from "../tasks/find/conditions.ts";
import { cancelFound } from "./cancel.ts";
import type { Carried, Carrying, LockedKeys, LockedTask } from "./carrying.ts";
import { deleteFound, lockKeysOfDeleted } from "./delete.ts";
import { furtherCondition, pinLookups } from "./find.ts";
import { FOUND_COLUMNS, type FoundColumns, QUEUE_COLUMN, toFoundTask } from "./found-columns.ts";
import { changedClasses, lockKeysOfMoved, moveFound, reprioritise } from "./move.ts";
import { lockKeysOfRetried, retryFound } from "./retry.ts";
import { conditionsOf } from "./scope.ts";

/** A class that is deleted this often during one change is so by a fault. */
const MAX_ROUNDS = 10;

/**
 * Changes those of the tasks that the filter still lets through.
 *
 * Locks are taken in one order, as everywhere: unique keys, tasks by their ids, open ones before ended ones, then classes.
 */
export async function changeTasks(
  db: Database,
  scope: ChangeScope,
  tasks: readonly FoundTask[],
  reason: string,
): Promise<ChangedTasks> {
  for (let round = 1; ; round++) {
    try {
      return await changeOnce(db, scope, tasks, reason);
    } catch (error) {
      if (!(error instanceof ClassesGoneError) || round === MAX_ROUNDS) throw error;
    }
  }
}

async function changeOnce(
  db: Database,
  scope: ChangeScope,
  tasks: readonly FoundTask[],
  reason: string,
): Promise<ChangedTasks> {
  const { change } = scope;
  // Before the transaction: a class that is made is seen by others at once.
  const classes = await changedClasses(db, change, tasks);
  const { apart, ...done } = await db.retrying(() =>
    db.transaction(async (tx) => {
      await pinLookups(tx);
      const keys = await lockKeys(tx, change, tasks);
      const locked = await lockTasks(tx, scope, tasks);
      const skipped: { id: number; code: SkipCode }[] = [];
      const found = locked.filter((task) => {
        const code = skipOf(change, task);
        if (code) skipped.push({ id: task.id, code });
        return code === undefined;
      });
      // Ended tasks with dependencies take locks of other tasks: each is retried in a transaction of its own.
      const alone = change.kind === "retry" ? found.filter(({ isLinked }) => isLinked) : [];
      const carried = await carryOut(tx, {
        change,
        tasks: found.filter((task) => !alone.includes(task)),
        keys,
        classes,
        reason,
      });
      const known = new Set(locked.map(({ id }) => id));
      return {
        ...{ ended: [], requested: [], waiting: [], deleted: [] },
        ...carried,
        skipped: [...skipped, ...(carried.skipped ?? [])],
        missed: tasks.flatMap(({ id }) => (known.has(id) ? [] : [id])),
        apart: alone.map(({ id }) => id),
      };
    }),
  );
  return apart.length === 0
    ? done
    : withApart(done, await retryEach(db, apart, change.kind === "retry" ? change : {}));
}

async function lockKeys(tx: Runner, change: TaskChange, tasks: readonly FoundTask[]): Promise<LockedKeys> {
  const keyed = tasks.filter(({ uniqueKey }) => uniqueKey !== undefined);
  if (keyed.length === 0) return {};
  if (change.kind === "retry") return { owners: await lockKeysOfRetried(tx, keyed) };
  if (change.kind === "move") return { moved: await lockKeysOfMoved(tx, keyed, change.queue) };
  if (change.kind === "delete") await lockKeysOfDeleted(tx, keyed);
  return {};
}

function carryOut(tx: Runner, carrying: Carrying): Promise<Carried> {
  const { change } = carrying;
  switch (change.kind) {
    case "cancel":
      return cancelFound(tx, carrying);
    case "retry":
      return retryFound(tx, carrying);
    case "move":
      return moveFound(tx, carrying, change.queue);
    case "set_priority":
      return reprioritise(tx, carrying, change.priority);
    case "delete":
      return deleteFound(tx, carrying);
    default:
      throw new Error(`unknown change ${JSON.stringify(change satisfies never)}`);
  }
}

/** Locks those that are where they were found and that the filter lets through. */
async function lockTasks(tx: Runner, scope: ChangeScope, tasks: readonly FoundTask[]): Promise<LockedTask[]> {
  const isOpen = ({ state }: FoundTask) => state === "queued" || state === "assigned" || state === "running";
  const [open, ended] = [tasks.filter(isOpen), tasks.filter((task) => !isOpen(task))];
  return [...(await lockIn(tx, scope, "task", open)), ...(await lockIn(tx, scope, "task_finished", ended))];
}

async function lockIn(
  tx: Runner,
  scope: ChangeScope,
  table: "task" | "task_finished",
  tasks: readonly FoundTask[],
): Promise<LockedTask[]> {
  if (tasks.length === 0) return [];
  const ids = tasks.map(({ id }) => id).sort((a, b) => a - b);
  const rows = await tx.run<FoundColumns & { linked: boolean }>(...lockStatement(scope, table, ids));
  return rows.map((row) => ({ ...toFoundTask(row), isLinked: row.linked }));
}

function lockStatement(
  scope: ChangeScope,
  table: "task" | "task_finished",
  ids: readonly number[],
): [Statement, unknown[]] {
  const parameters = new Parameters();
  const named = parameters.add(int8Array(ids), "bigint[]");
  const further = furtherCondition(scope, table, parameters);
  return [
    {
      name: "",
      text: `select t.*, ${QUEUE_COLUMN}, ${table === "task" ? "false" : hasDependencies("t.id")} as linked
        from unnest(${named}) as u(id)
        cross join lateral (
          select ${FOUND_COLUMNS[table]} from ${table} t
           where t.id = u.id and ${conditions(conditionsOf(scope), table, parameters)}${further && ` and ${further}`}
             for update) t`,
    },
    parameters.values,
  ];
}

async function retryEach(
  db: Database,
  ids: readonly number[],
  { afresh = false, step }: RetryWish,
): Promise<Required<Pick<Carried, "waiting" | "skipped">>> {
  const waiting: ChangedTasks["waiting"][number][] = [];
  const skipped: { id: number; code: SkipCode }[] = [];
  for (const id of ids) {
    const result = await retryTask(db, id, { afresh, ...(step === undefined ? {} : { step }) });
    if (result?.outcome === "queued") waiting.push(result.task);
    else skipped.push({ id, code: RETRY_SKIPS[result?.outcome ?? "none"] });
  }
  return { waiting, skipped };
}

const RETRY_SKIPS = {
  none: "TASK_NOT_FOUND",
  active: "TASK_NOT_RETRYABLE",
  held: "TASK_NOT_RETRYABLE",
  waits_for_tasks: "TASK_NOT_RETRYABLE",
  key_held: "UNIQUE_KEY_HELD",
  dependency_failed: "DEPENDENCY_FAILED",
  step_not_failed: "STEP_NOT_FAILED",
} as const satisfies Readonly<Record<string, SkipCode>>;

function withApart(
  done: ChangedTasks,
  { waiting, skipped }: Required<Pick<Carried, "waiting" | "skipped">>,
): ChangedTasks {
  return {
    ...done,
    waiting: [...done.waiting, ...waiting],
    skipped: [...done.skipped, ...skipped],
  };
}
