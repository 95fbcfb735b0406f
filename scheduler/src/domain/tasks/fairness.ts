/** Fairness keys: tasks of one queue share its starts by their keys. */

/** The fairness key of a task. */
export interface Fairness {
  readonly key: string;
  /** Its share among the keys of its queue, 1 to 1,000; an operator's weight replaces it. */
  readonly weight: number;
}

/** Largest weight of a queue or a key. */
export const MAX_WEIGHT = 1_000;

/** An operator's weight of a key in a queue. */
export interface FairnessWeight {
  readonly queue: string;
  readonly key: string;
  readonly weight: number;
}
