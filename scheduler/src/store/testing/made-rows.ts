/** Rows that tests of the store and of its users give to it. */
import { decideOutcome, type Outcome } from "../../domain/tasks/outcome/outcome.ts";
import type { NewTask } from "../../domain/tasks/task.ts";
import type { AttemptRow, CommitRequest } from "../store.ts";

export const NO_REQUIREMENTS = { labels: {}, resources: [] } as const;

/** A task of type `echo` in the queue `default`, with the fields that the test gives. */
export function newTask(fields: Partial<NewTask> = {}): NewTask {
  return {
    queue: "default",
    type: "echo",
    requirements: NO_REQUIREMENTS,
    payload: Buffer.from("{}"),
    contentType: "application/json",
    headers: undefined,
    priority: 0,
    delayMs: undefined,
    runAtMs: undefined,
    uniqueKey: undefined,
    options: undefined,
    ...fields,
  };
}

export const SUCCEEDED: Extract<Outcome, { kind: "succeeded" }> = {
  kind: "succeeded",
  output: Buffer.from('"done"'),
  contentType: "application/json",
  warnings: [],
};

export function failed(failureClass: "retryable" | "non_retryable" | "out_of_memory" = "retryable"): Outcome {
  return { kind: "failed", failure: { failureClass, code: "BROKE", message: "it broke" } };
}

/** What the scheduler would ask the store to write for this end of an attempt. */
export function commitRequest(row: AttemptRow, outcome: Outcome): CommitRequest {
  return {
    key: { taskId: row.taskId, epoch: row.epoch },
    decision: decideOutcome(
      {
        attemptCount: row.attemptCount,
        outOfMemoryCount: row.outOfMemoryCount,
        counts: row.requeueCounts,
        retry: row.options?.retry,
        cancelReason: row.cancelReason,
      },
      outcome,
      0,
    ),
    acceptAgeMs: 1,
    startAgeMs: 1,
    keyed: row.keyed ?? false,
  };
}
