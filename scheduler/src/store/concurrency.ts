/** The role of the store that reads concurrency keys with their holders, sets their limits, and checks their counts. */
import type { KeyHolder, KeyState, LimitOverride, OrderState } from "../domain/tasks/limits/concurrency.ts";

export type { KeyHolder, LimitOverride } from "../domain/tasks/limits/concurrency.ts";

/** A key with what holds it and what waits for it. */
export interface LockRow {
  readonly key: string;
  readonly held: number;
  /** The lowest and the highest limit of the tasks that have the key; undefined when no class has it. */
  readonly taskLimits: { readonly least: number; readonly most: number } | undefined;
  readonly override: LimitOverride | undefined;
  /** Those that have held it the longest. */
  readonly holders: readonly KeyHolder[];
  /** Tasks that could start but for the key or a worker; at most `MAX_WAITING` are counted. */
  readonly waiting: number;
  /** Since when the first of them in claim order has been ready. */
  readonly waitingSince: Date | undefined;
  /** The oldest task that has the key with a strict order and waits, whatever for. */
  readonly firstInOrder: number | undefined;
}

/** Waiting tasks of a class that are counted. */
export const MAX_WAITING = 10_000;

/** A key whose count differs from its tasks. */
export interface KeyDifference {
  readonly key: string;
  readonly held: number;
  /** Assigned and running tasks that have the key. */
  readonly tasks: number;
}

/** Concurrency keys. */
export interface ConcurrencyStore {
  /** What is counted of these keys, and of every key with a limit of the operator's. */
  keyStates(keys: readonly string[]): Promise<KeyState[]>;
  /** Which task goes first of those that wait for each of these keys with a strict order. */
  keyOrders(keys: readonly string[]): Promise<OrderState[]>;
  /** Keys by name that tasks hold or wait for or that have a limit of the operator's, with up to `maxHolders` holders. */
  listLocks(filter: {
    /** Only this key. */
    readonly key?: string | undefined;
    readonly afterKey?: string | undefined;
    /** Only keys for which a task waits. */
    readonly blocked: boolean;
    readonly limit: number;
    readonly maxHolders: number;
  }): Promise<LockRow[]>;
  /** Sets the limit of a key for this reason; takes it back when it is undefined. */
  setKeyLimit(
    key: string,
    limit: { readonly limit: number; readonly reason: string } | undefined,
  ): Promise<void>;
  /** Keys whose count differs from their tasks in one snapshot; at most `limit`. Reads the open tasks. */
  keyDifferences(limit: number): Promise<KeyDifference[]>;
  /** Counts a key again while its row is locked, and corrects it; undefined when it does not differ. */
  correctKey(key: string): Promise<KeyDifference | undefined>;
}
