/** Decides which new tasks end at once because of their concurrency keys, and which older tasks they cancel. */

import type { NewTask } from "../task.ts";
import type { ConcurrencyKey, LimitReached, OnLimit } from "./concurrency.ts";

/** An open task that has a key. */
export interface OpenTask {
  readonly id: number;
  /** A cancellation was requested. */
  readonly cancelling: boolean;
  readonly onLimit: OnLimit | undefined;
}

/** The open tasks of a key, the oldest first, and the operator's limit. */
export interface OpenOfKey {
  readonly override: number | undefined;
  readonly tasks: readonly OpenTask[];
}

/** An older task that a newer one cancels. */
export interface Superseded {
  readonly taskId: number;
  readonly key: string;
  /** The newer task. */
  readonly by: number;
}

export interface LimitPlan {
  /** New tasks that end at once, by their ids. */
  readonly refused: ReadonlyMap<number, LimitReached>;
  /** In the order of the new tasks; new ones of the same submit may be among them. */
  readonly superseded: readonly Superseded[];
}

/** A task that ended while it waited, with its class. */
export interface EndedWait {
  readonly id: number;
  readonly classId: number;
}

/** What the concurrency keys of a new task did. */
export interface LimitOutcome {
  /** The new task itself ended. */
  readonly reached: LimitReached | undefined;
  /** Older tasks that it cancels. */
  readonly cancelled: readonly number[];
  /** Those of all these that have ended, because they waited. */
  readonly ended: readonly EndedWait[];
}

/** Largest limit of a key with a policy: so many open tasks are read with every submit. */
export const MAX_POLICY_LIMIT = 1_000;

/** Tasks that are named. */
const MAX_NAMED = 20;

/** Keys of a task that are decided when it is submitted. */
export function policyKeys(concurrency: readonly ConcurrencyKey[] | undefined): readonly ConcurrencyKey[] {
  return concurrency?.filter(({ onLimit }) => onLimit !== undefined) ?? [];
}

/** Whether tasks that exist decide what becomes of a submitted task: its unique key's holder, those of its keys, its predecessors. */
export function dependsOnOthers({ uniqueKey, concurrency, after, batchId }: NewTask): boolean {
  if (batchId !== undefined) return true;
  return uniqueKey !== undefined || after !== undefined || locksKeys(concurrency);
}

/** True for a task whose submit waits for others with the same keys: it ends tasks, or takes its place in an order. */
export function locksKeys(concurrency: readonly ConcurrencyKey[] | undefined): boolean {
  return concurrency?.some(({ onLimit, strict }) => onLimit !== undefined || strict !== undefined) ?? false;
}

/**
 * Decides in the order of the new tasks: each counts for those after it.
 *
 * @param tasks The keys of new tasks by their ids, in order.
 * @param open What is open of the keys with a policy.
 */
export function planLimits(
  tasks: ReadonlyMap<number, readonly ConcurrencyKey[]>,
  open: ReadonlyMap<string, OpenOfKey>,
): LimitPlan {
  const refused = new Map<number, LimitReached>();
  const superseded: Superseded[] = [];
  const left = new Map(Array.from(open, ([key, { tasks: of }]) => [key, [...of]]));
  const limitOf = ({ key, limit }: ConcurrencyKey) =>
    Math.min(open.get(key)?.override ?? limit, MAX_POLICY_LIMIT);
  for (const [id, keys] of tasks) {
    const full = keys.find(
      (each) => each.onLimit === "cancel_newest" && (left.get(each.key)?.length ?? 0) >= limitOf(each),
    );
    if (full) {
      const taskIds = (left.get(full.key) ?? []).slice(0, MAX_NAMED).map((each) => each.id);
      refused.set(id, { key: full.key, limit: limitOf(full), taskIds });
      continue;
    }
    for (const each of keys) {
      const of = left.get(each.key);
      if (!of) continue;
      if (each.onLimit === "cancel_running") {
        const others = of.filter((other) => other.onLimit === "cancel_running" && !other.cancelling);
        // With a limit of 0 the newest one is left to wait.
        for (const { id: taskId } of others.slice(
          0,
          Math.max(0, others.length + 1 - Math.max(1, limitOf(each))),
        )) {
          superseded.push({ taskId, key: each.key, by: id });
          for (const list of left.values()) cancel(list, taskId);
        }
      }
      of.push({ id, cancelling: false, onLimit: each.onLimit });
    }
  }
  return { refused, superseded };
}

/**
 * What the keys of one new task did; undefined for nothing.
 *
 * @param ended Tasks of the plan that waited.
 */
export function limitOutcome(
  id: number,
  { refused, superseded }: LimitPlan,
  ended: readonly EndedWait[],
): LimitOutcome | undefined {
  const reached = refused.get(id);
  const cancelled = superseded.flatMap(({ by, taskId }) => (by === id ? taskId : []));
  if (!reached && cancelled.length === 0) return undefined;
  const own = ended.filter((each) => (reached && each.id === id) || cancelled.includes(each.id));
  return { reached, cancelled, ended: own };
}

function cancel(tasks: OpenTask[], id: number): void {
  const at = tasks.findIndex((each) => each.id === id);
  const task = tasks[at];
  if (task) tasks[at] = { ...task, cancelling: true };
}
