/** The bits of `task.links`, and what they mean in statements. The trigger of the table has the same numbers. */

import type { Runner, Statement } from "../connection/database.ts";

/** What a task has to do with others. */
export const LINKS = {
  /** Tasks depend on it: its end is recorded for them. */
  predecessor: 1,
  /** It waits for tasks. */
  dependent: 2,
} as const;

// Transactions run where the planner is free. Without statistics of a table that grew fast it reads the whole of it.
const PIN_PLANS: Statement = {
  name: "dependency-plans",
  text: `select set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
    set_config('enable_mergejoin', 'off', true)`,
};

/** Has the statements of the transaction look rows up by their indexes. */
export async function pinPlans(tx: Runner): Promise<void> {
  await tx.run(PIN_PLANS, []);
}

/** True for a task `t` that waits for tasks. Not `wake_time = 'infinity'`: its index would find all of them. */
export const IS_WAITING = `coalesce(t.links & ${LINKS.dependent}, 0) <> 0`;
