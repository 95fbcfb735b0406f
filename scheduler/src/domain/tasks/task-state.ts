/** The states of a task. */

/** States of a task that has not ended. */
export type OpenState = "queued" | "assigned" | "running";
/** States of a task that has ended. */
export type EndState = "succeeded" | "failed" | "cancelled";
/** Where a task stands. */
export type TaskState = OpenState | EndState;

export const OPEN_STATES: readonly OpenState[] = ["queued", "assigned", "running"];
export const END_STATES: readonly EndState[] = ["succeeded", "failed", "cancelled"];
