/** Concurrency keys: how many tasks with the same key may be active at once. */

/** A key of a task, with the task's own limit. */
export interface ConcurrencyKey {
  readonly key: string;
  /** The task starts only while fewer active tasks than this hold the key; at least 1. */
  readonly limit: number;
}

/** The keys of a task in one order: tasks with the same keys and limits share a class. */
export function inKeyOrder(keys: readonly ConcurrencyKey[]): ConcurrencyKey[] {
  return [...keys].sort((a, b) => (a.key < b.key ? -1 : 1));
}

/** A key as the store counts it. */
export interface KeyState {
  readonly key: string;
  /** Tasks that hold it: assigned or running. */
  readonly held: number;
  /** The operator's limit, which replaces those of the tasks; undefined without one. */
  readonly override: number | undefined;
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
}
