/** The paths on which admission takes back what a task held or waited for, in one list. */

/** Each path with what happened. A test walks through every one of them. */
export const ADMISSION_PATHS = {
  claim_lost: "another scheduler, a cancellation or a retry took the task before it was claimed",
  turned_back: "the claim found a concurrency key of the task held by as many as its limit allows",
  claim_failed: "the database refused the claim, or its answer did not arrive",
  finished: "the attempt ended its task, and that is committed: success, failure or cancellation",
  requeued: "the attempt ended, and the commit put its task back: retry, release, loss, no acceptance",
  stale: "the database did not take the attempt's end, because another part had ended it before",
  overtaken: "a later attempt of the same task is held here",
  session_dropped: "the attempt's session ended, or another scheduler holds it",
  not_resumed: "the attempt's session reconnected without it",
  cancelled_in_queue: "the task was cancelled while it waited",
  overdue_in_queue: "the task did not start by its deadline",
  held_in_queue: "an operator held the task while it waited",
  changed_in_queue: "the task was moved to another queue or got another priority while it waited",
} as const;

/** A path of any kind. */
export type AdmissionPath = keyof typeof ADMISSION_PATHS;

/** Paths of tasks that waited: nothing was acquired for them, and what is recorded of their wait is dropped. */
export type WaitEnd = "cancelled_in_queue" | "held_in_queue" | "overdue_in_queue" | "changed_in_queue";

/** Paths on which what was acquired for a task is released. */
export type ReleasePath = Exclude<AdmissionPath, WaitEnd>;
