/** Conditions on tasks as SQL, for the rows `t` of either table. */
import type { TaskConditions, TimeRange } from "../../../../domain/tasks/task-filter.ts";
import type { TaskState } from "../../../../domain/tasks/task-state.ts";
import type { Parameters } from "../../parameters.ts";
import { topFrame } from "../../statistics/top-frame.ts";
import { STATE } from "../../task-states.ts";
import { hasStep, indexedBySteps } from "../reports/steps.ts";

export type TaskTable = "task" | "task_finished";

/** Which rows. */
export interface RowConditions extends TaskConditions {
  readonly states: readonly TaskState[];
  readonly created: TimeRange;
  readonly ended: TimeRange;
  readonly batchId?: number | undefined;
  readonly uniqueKey?: string | undefined;
}

/** True for the rows `t` of a table that meet all conditions. */
export function conditions(wanted: RowConditions, table: TaskTable, parameters: Parameters): string {
  const isOpen = table === "task";
  const text = (values: readonly string[]) => parameters.add(values, "text[]");
  const { queues, types, details, failureCodes, errorText, tags, workerId, batchId, uniqueKey } = wanted;
  const all = [
    `t.state = any(${parameters.add(
      wanted.states.map((state) => STATE[state]),
      "smallint[]",
    )})`,
  ];
  if (queues.length + types.length > 0) {
    const ofClass = [
      ...(queues.length > 0 ? [`c.queue = any(${text(queues)})`] : []),
      ...(types.length > 0 ? [`c.type = any(${text(types)})`] : []),
    ];
    // IS TRUE keeps it a look-up for each row: as a join, it would read and sort all rows before the first ones.
    all.push(`(t.class_id in (select c.id from task_class c where ${ofClass.join(" and ")})) is true`);
  }
  // An open task has no detail of its own.
  if (details.length > 0) all.push(isOpen ? "false" : `t.detail = any(${text(details)})`);
  if (failureCodes.length > 0) all.push(`t.failure ->> 'code' = any(${text(failureCodes)})`);
  if (errorText !== undefined)
    all.push(
      `strpos(lower(concat_ws(' ', t.failure ->> 'code', t.failure ->> 'message')), lower(${parameters.add(errorText, "text")})) > 0`,
    );
  if (wanted.topFrame !== undefined)
    all.push(`${topFrame("t.failure")} = ${parameters.add(wanted.topFrame, "text")}`);
  if (tags.length > 0) all.push(hasTags(tags, parameters));
  if (workerId !== undefined)
    all.push(
      `(t.session_id in (select id from worker_session where worker_id = ${parameters.add(workerId, "text")})) is true`,
    );
  if (batchId !== undefined)
    all.push(
      `exists (select from task_dependency d where d.task_id = ${parameters.add(batchId, "bigint")} and d.predecessor_id = t.id)`,
    );
  if (uniqueKey !== undefined) all.push(`t.unique_key = ${parameters.add(uniqueKey, "text")}`);
  all.push(...within("t.create_time", wanted.created, parameters));
  const { ended, step } = wanted;
  if (isOpen && hasBound(ended)) all.push("false");
  if (!isOpen) all.push(...within("t.finish_time", ended, parameters));
  if (step)
    all.push(
      `${indexedBySteps(step, table)} and ${hasStep(parameters.add(step.name, "text"), text(step.states))}`,
    );
  return all.join(" and ");
}

/** True for the rows `t` with all of these tags. The first part is the condition of the index. */
export function hasTags(tags: readonly string[], parameters: Parameters): string {
  return `t.options ? 'tags' and t.options -> 'tags' @> ${parameters.add(JSON.stringify(tags), "jsonb")}`;
}

export function hasBound({ fromMs, toMs }: TimeRange): boolean {
  return fromMs !== undefined || toMs !== undefined;
}

function within(column: string, { fromMs, toMs }: TimeRange, parameters: Parameters): string[] {
  const at = (ms: number) => `to_timestamp(${parameters.add(ms / 1_000, "float8")})`;
  return [
    ...(fromMs === undefined ? [] : [`${column} >= ${at(fromMs)}`]),
    ...(toMs === undefined ? [] : [`${column} <= ${at(toMs)}`]),
  ];
}
