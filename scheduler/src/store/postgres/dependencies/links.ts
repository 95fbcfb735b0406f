/** The bits of `task.links`, and what they mean in statements. The trigger of the table has the same numbers. */

/** What a task has to do with others. */
export const LINKS = {
  /** Tasks depend on it: its end is recorded for them. */
  predecessor: 1,
  /** It waits for tasks. */
  dependent: 2,
} as const;

/** True for a task `t` that waits for tasks. Not `wake_time = 'infinity'`: its index would find all of them. */
export const IS_WAITING = `coalesce(t.links & ${LINKS.dependent}, 0) <> 0`;
