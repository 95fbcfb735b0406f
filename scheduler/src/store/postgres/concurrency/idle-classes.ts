/**
 * Deletes classes with keys that no task refers to, and keys that no class has.
 *
 * A class is marked while no open task refers to it, and deleted when the records of its last tasks have been dropped. A
 * task is inserted only while its class is there and not marked, in a statement that locks the class against both: a
 * scheduler with an old class in memory resolves it again, which takes the mark back or makes the class anew.
 */
import { ClassesGoneError } from "../../../domain/errors.ts";
import type { Database, Runner, Statement } from "../connection/database.ts";
import { dropUnusedRates } from "../rate-limits/unused-keys.ts";
import { HELD } from "./held-keys.ts";

/** In a query on classes `c`: true for those of which there may be as many as keys. The domain has `isPerKey`. */
export const IS_PER_KEY =
  "(c.concurrency is not null or c.rate_limits is not null or c.fairness is not null)";

const NO_OPEN_TASK = "not exists (select from task t where t.class_id = c.id)";

/** Classes in one transaction, and transactions in one run; the others come in the next. */
const BATCH = 1_000;
const MAX_BATCHES = 100;

// What is locked elsewhere is in use. Whoever inserted a task meanwhile has committed by the second statement, which sees it.
const LOCK_USED: Statement = {
  name: "class-lock-used",
  text: `select c.id from task_class c
    where c.idle_time is null and c.id > $1 and ${IS_PER_KEY} and ${NO_OPEN_TASK}
    order by c.id limit $2 for update of c skip locked`,
};
const MARK: Statement = {
  name: "class-mark-idle",
  text: `update task_class c set idle_time = now() where c.id = any($1::int[]) and ${NO_OPEN_TASK}`,
};

// The tasks of a marked class ended before its mark. A day more than what `drop_partitions` keeps is for clocks.
const IS_FORGOTTEN = `c.idle_time < ((now() at time zone 'utc')::date - $2::int - 2)::timestamp at time zone 'utc'`;

const LOCK_FORGOTTEN: Statement = {
  name: "class-lock-forgotten",
  text: `select c.id from task_class c where c.id > $1 and ${IS_FORGOTTEN}
    order by c.id limit $3 for update of c skip locked`,
};
const DELETE: Statement = {
  name: "class-delete",
  text: `with gone as (
    delete from task_class c where c.id = any($1::int[]) and ${IS_FORGOTTEN} and ${NO_OPEN_TASK} returning c.id),
  keys as (delete from class_key k using gone where k.class_id = gone.id returning k.key),
  rates as (delete from class_rate r using gone where r.class_id = gone.id returning r.key)
  select key, false as rate from keys union all select key, true from rates`,
};

const IS_UNUSED = `${HELD} = 0 and k.limit_override is null and not exists (select from class_key c where c.key = k.key)`;

// A class that gets one of these keys meanwhile waits for the lock. It finds the key gone, and makes it again.
const LOCK_KEYS: Statement = {
  name: "concurrency-lock-unused",
  text: `select k.key from concurrency_key k where k.key = any($1::text[]) and ${IS_UNUSED}
    order by k.key for update of k skip locked`,
};
const DELETE_KEYS: Statement = {
  name: "concurrency-delete-unused",
  text: `with gone as (
    delete from concurrency_key k where k.key = any($1::text[]) and ${IS_UNUSED} returning k.key)
  delete from circuit_share s using gone where starts_with(gone.key, e'\\x01') and s.key = substr(gone.key, 10)`,
};

const LOCK_CLASSES: Statement = {
  name: "class-lock-in-use",
  text: "select id from task_class where id = any($1::int[]) and idle_time is null order by id for key share",
};

/** CTE `used`: the classes named in `ids` that are there and not marked. They stay so until the commit. */
export function usedClasses(ids: string): string {
  return `used as materialized (
    select id from task_class where id = any(${ids}) and idle_time is null order by id for key share)`;
}

/**
 * Keeps these classes until the commit.
 *
 * @throws ClassesGoneError for those that are deleted or marked.
 */
export async function keepClasses(run: Runner["run"], ids: readonly number[]): Promise<void> {
  if (ids.length === 0) return;
  const kept = new Set((await run<{ id: number }>(LOCK_CLASSES, [ids])).map(({ id }) => id));
  const gone = ids.filter((id) => !kept.has(id));
  if (gone.length > 0) throw new ClassesGoneError(gone);
}

/** Marks the classes of which no task is open, and deletes those whose tasks' records were dropped before. */
export async function dropIdleClasses(db: Database, keepDays: number): Promise<void> {
  await inBatches(db, async (tx, after) => {
    const ids = (await tx.run<{ id: number }>(LOCK_USED, [after, BATCH])).map(({ id }) => id);
    if (ids.length > 0) await tx.run(MARK, [ids]);
    return ids;
  });
  await inBatches(db, async (tx, after) => {
    const ids = (await tx.run<{ id: number }>(LOCK_FORGOTTEN, [after, keepDays, BATCH])).map(({ id }) => id);
    if (ids.length === 0) return ids;
    const rows = await tx.run<{ key: string; rate: boolean }>(DELETE, [ids, keepDays]);
    const keysOf = (wanted: boolean) => [
      ...new Set(rows.flatMap(({ key, rate }) => (rate === wanted ? [key] : []))),
    ];
    await dropUnusedKeys(tx, keysOf(false));
    await dropUnusedRates(tx, keysOf(true));
    return ids;
  });
}

/** Deletes those of the keys that no task holds, no class has, and for which no operator set a limit. */
export async function dropUnusedKeys(tx: Runner, keys: readonly string[]): Promise<void> {
  if (keys.length === 0) return;
  const unused = await tx.run<{ key: string }>(LOCK_KEYS, [keys]);
  if (unused.length > 0) await tx.run(DELETE_KEYS, [unused.map(({ key }) => key)]);
}

/** @param step Handles the next classes after an id, and answers which these were. */
async function inBatches(
  db: Database,
  step: (tx: Runner, after: number) => Promise<number[]>,
): Promise<void> {
  let after = 0;
  for (let batch = 0; batch < MAX_BATCHES; batch++) {
    const ids = await db.transaction((tx) => step(tx, after));
    if (ids.length < BATCH) return;
    after = ids.at(-1) ?? after;
  }
}
