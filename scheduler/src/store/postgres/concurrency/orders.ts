/** Reads which task goes first for concurrency keys with a strict order. */
import type { OrderState } from "../../../domain/tasks/limits/concurrency.ts";
import type { TaskInsert } from "../../claims.ts";
import { textArray } from "../arrays.ts";
import type { Database, Runner, Statement } from "../connection/database.ts";

// Submits of different keys may wait for each other, which is harmless: a submit of 2,000 keys must not fill the server's
// table of locks.
const LOCKS = 1_024;

// Before the ids of the tasks are drawn, so that the ids of a key are committed in their order: a task with a lower id never
// turns up when a later one has started.
const LOCK: Statement = {
  name: "concurrency-lock-orders",
  text: `select pg_advisory_xact_lock(hashtext('muster strict order'), d.place)
    from (select distinct hashtext(key) & ${LOCKS - 1} as place from unnest($1::text[]) as u(key) order by place) d`,
};

const FRONTS: Statement = {
  name: "concurrency-orders",
  text: `select u.key, u.front
    from (select order_fronts($1::text[]) as fronts) f cross join lateral unnest($1::text[], f.fronts) as u(key, front)`,
};

/** A key with the tasks that go first: id, class, priority, and whether the task is ready. */
export type FrontColumns = readonly [
  key: string,
  front: readonly (readonly [number, number, number, boolean])[] | null,
];

/** @param taken Ids of tasks that wait no longer, because the claim took them. */
export function toOrder([key, front]: FrontColumns, taken: ReadonlySet<number>): OrderState {
  const first = front?.find(([id]) => !taken.has(id));
  if (first === undefined) return { key, first: undefined };
  const [id, classId, priority, ready] = first;
  return { key, first: { id, classId, priority, ready } };
}

/** Has other submits with the strict orders of these tasks wait until the commit. */
export async function lockOrders(tx: Runner, tasks: readonly TaskInsert[]): Promise<void> {
  const keys = new Set<string>();
  for (const { task } of tasks)
    for (const { key, strict } of task.concurrency ?? []) if (strict) keys.add(key);
  if (keys.size > 0) await tx.run(LOCK, [textArray([...keys])]);
}

/** Which task goes first of those that wait for each of these keys. */
export async function keyOrders(db: Database, keys: readonly string[]): Promise<OrderState[]> {
  if (keys.length === 0) return [];
  const rows = await db.hotRetrying<{ key: string; front: FrontColumns[1] }>(FRONTS, [textArray(keys)]);
  return rows.map(({ key, front }) => toOrder([key, front], NONE));
}

const NONE: ReadonlySet<number> = new Set();
