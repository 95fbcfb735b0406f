/** How long a task holds its unique key, and what a submit asks for when the key is held. */

/** The states of a task that hold its key; see `UniqueWhile` of the API. */
export type UniqueWhile = "queued" | "active" | "open" | "open_or_succeeded" | "recorded";

/** What becomes of a submit whose key is held. */
export type OnConflict = "return" | "replace" | "refuse";

/** How long a task holds its key. */
export interface UniqueRule {
  readonly while: UniqueWhile;
  /** The key is held at least this long after the task's creation, whatever the task's state is. */
  readonly windowMs?: number;
}

/** A repeated submit of work that has succeeded makes no second run; one of work that failed is new work. */
export const DEFAULT_UNIQUE_RULE: UniqueRule = { while: "open_or_succeeded" };
