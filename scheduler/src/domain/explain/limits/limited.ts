/** `CONCURRENCY_LIMIT_REACHED` and `SUPERSEDED`: a concurrency key ended the task, as the newest one or for a newer one. */
import { formatTaskId } from "../../ids.ts";
import { limitReachedText, supersededText } from "../../tasks/limits/limited.ts";
import type { TaskRecord } from "../../tasks/task.ts";
import type { Evidence, Reason } from "../reason.ts";

/** Undefined when something else cancelled the task. */
export function endedByLimit(task: TaskRecord, evidence: readonly Evidence[]): Reason | undefined {
  const limited = task.options?.limited;
  if (!limited) return undefined;
  const refused = limited.kind === "refused";
  // The record stays when the task is retried by hand: then it may be cancelled again for another reason.
  const text = refused ? limitReachedText(limited) : supersededText(limited.key, limited.by);
  if (task.cancelReason !== text) return undefined;
  const fact = (key: string, value: string): Evidence => ({ key, value, source: "database" });
  const key = fact("concurrency_key", limited.key);
  const again = `run \`muster retry ${formatTaskId(task.id)}\` to run it all the same`;
  if (refused)
    return {
      code: "CONCURRENCY_LIMIT_REACHED",
      summary: `it was cancelled with its submit: ${text}`,
      since: task.finishTime,
      evidence: [
        ...evidence,
        key,
        fact("limit", String(limited.limit)),
        ...limited.taskIds.map((id) => fact("open_task", formatTaskId(id))),
      ],
      remedy: `${again}: it then waits for its key; submit with the policy queue to have new tasks wait`,
    };
  return {
    code: "SUPERSEDED",
    summary: `it was cancelled: ${text}`,
    since: task.finishTime,
    evidence: [...evidence, key, fact("newer_task", formatTaskId(limited.by))],
    remedy: again,
  };
}
