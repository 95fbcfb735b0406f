/** `BUDGET_EXHAUSTED`: a task may begin no further iteration. */
import { formatTaskId } from "../../ids.ts";
import type { TaskRecord } from "../../tasks/task.ts";
import type { Evidence, Reason } from "../reason.ts";

/** Undefined when the task did not end by its budget. */
export function endedByBudget(
  task: TaskRecord,
  evidence: readonly Evidence[],
  last: string,
): Reason | undefined {
  const max = task.options?.maxIterations;
  if (task.detail !== "BUDGET_EXHAUSTED" || max === undefined) return undefined;
  const asked = task.failure?.code === "BUDGET_EXHAUSTED";
  return {
    code: "BUDGET_EXHAUSTED",
    summary: asked
      ? `its handler asked for an iteration beyond its budget of ${max} (maxIterations)`
      : `its attempts have begun all ${max} iterations of its budget (maxIterations), and the last one ended without a success: ${last}`,
    since: task.finishTime,
    evidence: [
      ...evidence,
      { key: "max_iterations", value: String(max), source: "database" },
      { key: "iterations", value: String(task.options?.iterations ?? 0), source: "database" },
      { key: "last_error", value: last, source: "database" },
      { key: "worker", value: task.workerId ?? "none", source: "database" },
    ],
    remedy: `check why the work does not end within ${max} iterations, and submit it with a larger \`maxIterations\` if it needs more; \`muster retry ${formatTaskId(task.id)}\` runs it again with the whole budget`,
  };
}
