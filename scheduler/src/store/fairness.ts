/** The role of the store that reads fairness keys with their tasks, and writes the weights of operators. */
import type { FairnessWeight } from "../domain/tasks/fairness.ts";

/** A fairness key of a queue with its tasks. */
export interface FairnessKeyRow {
  readonly queue: string;
  readonly key: string;
  /** The largest weight of its open tasks; undefined when it has none. */
  readonly taskWeight: number | undefined;
  readonly override: { readonly weight: number; readonly reason: string; readonly since: Date } | undefined;
  /** Of each class at most `MAX_COUNTED` are counted. */
  readonly ready: number;
  readonly active: number;
}

/** Ready tasks of a class that are counted. */
export const MAX_COUNTED = 10_000;

/** Fairness keys. */
export interface FairnessStore {
  /** The weights that operators set, of all queues. */
  fairnessWeights(): Promise<FairnessWeight[]>;
  /** Sets the weight of a key for this reason; takes it back when it is undefined. */
  setFairnessWeight(
    queue: string,
    key: string,
    set: { readonly weight: number; readonly reason: string } | undefined,
  ): Promise<void>;
  /** Keys of a queue by name that open tasks have, or that have a weight of an operator's. */
  listFairnessKeys(filter: {
    readonly queue: string;
    /** Only this key. */
    readonly key?: string | undefined;
    readonly afterKey?: string | undefined;
    readonly limit: number;
  }): Promise<FairnessKeyRow[]>;
}
