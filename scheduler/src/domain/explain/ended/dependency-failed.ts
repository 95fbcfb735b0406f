/** `DEPENDENCY_FAILED`: a task that it waited for did not succeed, so that it ended without having started. */
import { formatTaskId } from "../../ids.ts";
import { DEPENDENCY_FAILED, endInWords } from "../../tasks/dependencies/dependencies.ts";
import { causeInWords } from "../../tasks/dependencies/dependency-plan.ts";
import type { TaskRecord } from "../../tasks/task.ts";
import type { Evidence, Reason } from "../reason.ts";

/** Undefined when something else ended the task. */
export function endedByDependency(task: TaskRecord, evidence: readonly Evidence[]): Reason | undefined {
  const cause = task.options?.dependency;
  if (task.detail !== DEPENDENCY_FAILED || !cause) return undefined;
  const fact = (key: string, value: string): Evidence => ({ key, value, source: "database" });
  const [id, predecessor] = [formatTaskId(task.id), formatTaskId(cause.taskId)];
  const { root } = cause;
  const first = formatTaskId((root ?? cause).taskId);
  return {
    code: "DEPENDENCY_FAILED",
    summary: `it ended without having started: ${causeInWords(cause)}`,
    since: task.finishTime,
    evidence: [
      ...evidence,
      fact("predecessor", `${predecessor} ${endInWords(cause)}`),
      ...(root ? [fact("first_of_the_chain", `${first} ${endInWords(root)}`)] : []),
    ],
    remedy: root
      ? `run \`muster why ${first}\` for the cause and remove it, then run \`muster retry\` for ${first} and each task after it, \`muster retry ${id}\` last`
      : `run \`muster why ${first}\` for the cause and remove it, then run \`muster retry ${first}\` and \`muster retry ${id}\``,
  };
}
