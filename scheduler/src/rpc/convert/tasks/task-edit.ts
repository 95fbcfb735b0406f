/** What a request to edit a task asks for, checked. */
import type { UpdateTaskRequest } from "@muster/protocol";
import type { Violation } from "../../../domain/errors.ts";
import { invalidRequest } from "../../../domain/refusals.ts";
import type { TaskEdit } from "../../../domain/tasks/edit.ts";
import { milliseconds, type Report } from "./options.ts";
import { MAX_PRIORITY, schedule } from "./task-spec.ts";

const MAX_RETRIES = 1_000;

/** @throws Refusal `INVALID_REQUEST`, with every fault at once. */
export function toTaskEdit(request: UpdateTaskRequest): TaskEdit {
  const violations: Violation[] = [];
  const report: Report = (field, description) => void violations.push({ field, description });
  const { priority, runTimeout, maxRetryCount } = request;
  if (priority !== undefined && Math.abs(priority) > MAX_PRIORITY)
    report("priority", `${priority} is not between -${MAX_PRIORITY} and ${MAX_PRIORITY}`);
  if (maxRetryCount !== undefined && (maxRetryCount < 0 || maxRetryCount > MAX_RETRIES))
    report("max_retry_count", `${maxRetryCount} is not between 0 and ${MAX_RETRIES}`);
  const runTimeoutMs = runTimeout && milliseconds(runTimeout, "run_timeout", report);
  const { delayMs, runAtMs } = schedule(request, report);
  const start =
    request.schedule.case === undefined
      ? undefined
      : runAtMs === undefined
        ? { delayMs: delayMs ?? 0 }
        : { runAtMs };
  const edit: TaskEdit = {
    ...(priority === undefined ? {} : { priority }),
    ...(runTimeoutMs === undefined ? {} : { runTimeoutMs }),
    ...(maxRetryCount === undefined ? {} : { maxRetries: maxRetryCount }),
    ...(start ? { start } : {}),
  };
  if (Object.keys(edit).length === 0)
    report(
      "priority",
      "and all other fields are unset; give at least one of priority, run_timeout, max_retry_count, delay and run_time",
    );
  const [first, ...further] = violations;
  if (first) throw invalidRequest(first, ...further);
  return edit;
}
