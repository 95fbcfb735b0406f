/** The conditions of a filter of tasks as SQL, for the rows `t` of either table. */

import type { ChangeScope } from "../../task-changes.ts";
import type { Parameters } from "../parameters.ts";
import { STATE } from "../task-states.ts";
import { hasStep, indexedBySteps } from "../tasks/reports/steps.ts";

/** True for the rows `t` of a table that the filter of a change lets through. */
export function conditions(
  { filter, states, cutOff }: Pick<ChangeScope, "cutOff" | "filter" | "states">,
  table: "task" | "task_finished",
  parameters: Parameters,
): string {
  const isOpen = table === "task";
  const text = (values: readonly string[]) => parameters.add(values, "text[]");
  const ago = (ms: number) => `to_timestamp(${parameters.add((cutOff.timeMs - ms) / 1_000, "float8")})`;
  const all = [
    `t.state = any(${parameters.add(
      states.map((state) => STATE[state]),
      "smallint[]",
    )})`,
  ];
  const { queues, types, details, failureCodes, tags, workerId, batchId, uniqueKey } = filter;
  if (queues.length + types.length > 0) {
    const ofClass = [
      ...(queues.length > 0 ? [`c.queue = any(${text(queues)})`] : []),
      ...(types.length > 0 ? [`c.type = any(${text(types)})`] : []),
    ];
    all.push(`exists (select from task_class c where c.id = t.class_id and ${ofClass.join(" and ")})`);
  }
  // An open task has no detail of its own.
  if (details.length > 0) all.push(isOpen ? "false" : `t.detail = any(${text(details)})`);
  if (failureCodes.length > 0) all.push(`t.failure ->> 'code' = any(${text(failureCodes)})`);
  // The first part is the condition of the index.
  if (tags.length > 0)
    all.push(
      `t.options ? 'tags' and t.options -> 'tags' @> ${parameters.add(JSON.stringify(tags), "jsonb")}`,
    );
  if (workerId !== undefined)
    all.push(
      `t.session_id in (select id from worker_session where worker_id = ${parameters.add(workerId, "text")})`,
    );
  if (batchId !== undefined)
    all.push(
      `exists (select from task_dependency d where d.task_id = ${parameters.add(batchId, "bigint")} and d.predecessor_id = t.id)`,
    );
  if (uniqueKey !== undefined) all.push(`t.unique_key = ${parameters.add(uniqueKey, "text")}`);
  if (filter.minAgeMs !== undefined) all.push(`t.create_time <= ${ago(filter.minAgeMs)}`);
  if (filter.maxAgeMs !== undefined) all.push(`t.create_time >= ${ago(filter.maxAgeMs)}`);
  const { minEndedAgeMs, maxEndedAgeMs } = filter;
  if (isOpen && (minEndedAgeMs !== undefined || maxEndedAgeMs !== undefined)) all.push("false");
  if (!isOpen && minEndedAgeMs !== undefined) all.push(`t.finish_time <= ${ago(minEndedAgeMs)}`);
  if (!isOpen && maxEndedAgeMs !== undefined) all.push(`t.finish_time >= ${ago(maxEndedAgeMs)}`);
  const { step } = filter;
  if (step)
    all.push(
      `${indexedBySteps(step, table)} and ${hasStep(parameters.add(step.name, "text"), text(step.states))}`,
    );
  return all.join(" and ");
}
