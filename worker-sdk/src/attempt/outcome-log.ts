import type { Outcome } from "../link/outcome.ts";
import type { Logger } from "../logging/logger.ts";
import type { RunEnd } from "../tracing/run-trace.ts";
import type { Attempt } from "./attempt.ts";

/** Logs the outcome of an attempt. */
export function logOutcome(log: Logger, attempt: Attempt, outcome: Outcome, runMs: number): void {
  const { attemptId, taskId, type } = attempt.assignment;
  const fields = {
    event: outcome.kind === "succeeded" ? "task.completed" : `task.${outcome.kind}`,
    attempt_id: attemptId,
    task_id: taskId,
    task_type: type,
    run_ms: Math.round(runMs * 1000) / 1000,
    ...attempt.trace?.fields(),
  };
  switch (outcome.kind) {
    case "succeeded":
      log.info({ ...fields, warnings: outcome.warnings.length }, "task completed");
      return;
    case "failed":
      log.info(
        { ...fields, failure_class: outcome.failureClass, code: outcome.code, error: outcome.message },
        "task failed",
      );
      return;
    case "cancelled":
      log.info(fields, "task cancelled");
      return;
    case "released":
      log.info({ ...fields, reason: outcome.reason }, "task released");
  }
}

/** The outcome of an attempt for its span. */
export function runEnd(outcome: Outcome): RunEnd {
  if (outcome.kind !== "failed") return { outcome: outcome.kind };
  return { outcome: outcome.kind, error: { type: outcome.code, message: outcome.message } };
}
