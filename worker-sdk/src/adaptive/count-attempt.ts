/** Counts ended attempts for the limit of their type, and reports a limit that changes. */
import type { Link } from "../link/link.ts";
import type { Outcome } from "../link/outcome.ts";
import type { Logger } from "../logging/logger.ts";
import type { CompiledTask } from "../options/compiled-options.ts";
import type { AdaptiveLimit } from "./adaptive-limit.ts";
import { type EndedAttempt, measuredAttempt } from "./measured-attempt.ts";

/** Counts an attempt; true when the limit of its type has changed, which is then logged and sent. */
export function countAttempt(
  attempt: EndedAttempt,
  task: CompiledTask,
  limit: AdaptiveLimit,
  outcome: Outcome,
  { log, link }: { readonly log: Logger; readonly link: Pick<Link, "send"> },
): boolean {
  const measured = measuredAttempt(attempt, task, outcome, log);
  if (measured === undefined || !limit.ended(measured)) return false;
  const { report } = limit;
  const { previous, limit: now, reason } = report;
  const fields = { task_type: task.type, limit: now, previous_limit: previous, reason };
  log.info({ event: "worker.concurrency.changed", ...fields }, `concurrency of ${task.type}: ${now}`);
  link.send({ kind: "limit", type: task.type, limit: report });
  return true;
}
