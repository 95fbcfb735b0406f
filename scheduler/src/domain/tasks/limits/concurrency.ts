/** Concurrency keys: how many tasks with the same key may be active at once. */

/**
 * What becomes of tasks when the limit of a key is reached, decided at the submit: `cancel_newest` ends the new one,
 * `cancel_running` cancels the oldest ones that have it, too. Without it the new one waits.
 */
export type OnLimit = "cancel_newest" | "cancel_running";

/** A key of a task, with the task's own limit. */
export interface ConcurrencyKey {
  readonly key: string;
  /** The task starts only while fewer active tasks than this hold the key; at least 1. */
  readonly limit: number;
  /** Undefined for a task that waits. */
  readonly onLimit?: OnLimit;
  /**
   * Set for a task that starts only after the older ones that have the key with it. It holds the priority of the task:
   * tasks of each priority are a class of their own, so that in claim order the first task of a class is its oldest.
   */
  readonly strict?: { readonly priority: number };
}

/** The keys whose tasks start in the order of their ids. */
export function strictKeys(keys: readonly ConcurrencyKey[] | undefined): readonly ConcurrencyKey[] {
  return keys?.filter(({ strict }) => strict !== undefined) ?? NO_KEYS;
}

const NO_KEYS: readonly ConcurrencyKey[] = Object.freeze([]);

/** The key of a task that has one and no more. */
export function soleKey(keys: readonly ConcurrencyKey[] | undefined): ConcurrencyKey | undefined {
  return keys?.length === 1 ? keys[0] : undefined;
}

/** True when a task with these keys starts after older ones only. */
export function isStrict(keys: readonly ConcurrencyKey[] | undefined): boolean {
  return keys?.some(({ strict }) => strict !== undefined) ?? false;
}

/** A task that goes first of those that wait for a key with a strict order. */
export interface FirstInOrder {
  readonly id: number;
  readonly classId: number;
  readonly priority: number;
  /** False for one that waits for its time or its retry. */
  readonly ready: boolean;
}

/** A key that had no place left for a new task. */
export interface LimitReached {
  readonly key: string;
  readonly limit: number;
  /** Open tasks that had the key, the oldest first; not all when they are many. */
  readonly taskIds: readonly number[];
}

/** The keys of a task in one order: tasks with the same keys and limits share a class. */
export function inKeyOrder(keys: readonly ConcurrencyKey[]): ConcurrencyKey[] {
  return [...keys].sort((a, b) => (a.key < b.key ? -1 : 1));
}

/** What makes keys different classes: with the same in the same order, tasks share one. */
export function identityOf(keys: readonly ConcurrencyKey[]): unknown {
  return keys.map(({ key, limit, onLimit, strict }) => [
    key,
    limit,
    ...(onLimit === undefined ? [] : [onLimit]),
    ...(strict === undefined ? [] : [{ strict: strict.priority }]),
  ]);
}

/** A key as the store counts it. */
export interface KeyState {
  readonly key: string;
  /** Tasks that hold it: assigned or running. */
  readonly held: number;
  /** The operator's limit, which replaces those of the tasks; undefined without one. */
  readonly override: number | undefined;
}

/** A key with a strict order, as the store has it. */
export interface OrderState {
  readonly key: string;
  /** The oldest task that has the key with a strict order and waits; undefined when none does. */
  readonly first: FirstInOrder | undefined;
}

/** A task that holds a key. */
export interface KeyHolder {
  readonly key: string;
  readonly taskId: number;
  readonly epoch: number;
  readonly type: string;
  readonly queue: string;
  readonly workerId: string | undefined;
  /** When it was assigned: since then it has held the key. */
  readonly since: Date;
}

/** The operator's limit of a key. */
export interface LimitOverride {
  readonly limit: number;
  /** Why, and by whom. */
  readonly reason: string;
  readonly time: Date;
}

/** A key of a waiting task with what the store has of it. */
export interface AskedKey extends ConcurrencyKey {
  /** Tasks that hold it. */
  readonly held: number;
  readonly override: LimitOverride | undefined;
  /** Those that have held it the longest. */
  readonly holders: readonly KeyHolder[];
  /** The older task that goes first, where the task's order is strict. */
  readonly older?: OlderTask | undefined;
}

/** An older task that waits, with why. */
export interface OlderTask {
  readonly id: number;
  readonly type: string;
  readonly queue: string;
  /** The code of its own explanation, and the same in words; empty where that was not read. */
  readonly code: string;
  readonly summary: string;
  readonly remedy: string;
  /** Since when it has waited, as far as is known. */
  readonly since: Date;
}
