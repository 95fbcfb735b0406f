/** Dependencies in protobuf, and back. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { quoted } from "@muster/common/text/text";
import {
  DependencyCondition as ConditionMessage,
  type GetDependenciesResponseSchema,
  type LinkedTaskSchema,
  type TaskDependency,
} from "@muster/protocol";
import { formatTaskId, parseTaskId } from "../../../domain/ids.ts";
import {
  type DependencyCondition,
  type LinkedTask,
  MAX_PREDECESSORS,
  type SubmittedAfter,
  type TaskLinks,
} from "../../../domain/tasks/dependencies/dependencies.ts";
import { named, unknown } from "../values/names.ts";
import { optional } from "../values/optional.ts";
import type { Report } from "./options.ts";
import { fromTaskState } from "./task.ts";

const CONDITIONS: Readonly<Record<DependencyCondition, ConditionMessage>> = {
  succeeded: ConditionMessage.SUCCEEDED,
  ended: ConditionMessage.ENDED,
};

/**
 * The tasks that a submitted one waits for; undefined for none.
 *
 * @param index Position of the task in its request.
 */
export function toAfter(
  given: readonly TaskDependency[],
  index: number,
  report: Report,
): SubmittedAfter[] | undefined {
  if (given.length === 0) return undefined;
  if (given.length > MAX_PREDECESSORS) {
    report(
      "after",
      `names ${given.length} tasks; at most ${MAX_PREDECESSORS} are allowed: let a task in between wait for some of them`,
    );
    return undefined;
  }
  const seen = new Set<string>();
  return given.flatMap(({ predecessor, condition }, position): SubmittedAfter[] => {
    const field = `after[${position}]`;
    if (condition !== ConditionMessage.UNSPECIFIED && named(CONDITIONS, condition) === undefined)
      report(`${field}.condition`, unknown(condition, CONDITIONS));
    const wanted = { condition: named(CONDITIONS, condition) ?? "succeeded" };
    const twice = (name: string) => {
      if (seen.has(name)) report(field, `names ${name} a second time; name each task once`);
      seen.add(name);
    };
    switch (predecessor.case) {
      case "taskId": {
        const taskId = parseTaskId(predecessor.value);
        if (taskId === undefined) {
          report(`${field}.task_id`, `${quoted(predecessor.value, 40)} is no task id; ids look like t-1042`);
          return [];
        }
        twice(formatTaskId(taskId));
        return [{ ...wanted, taskId }];
      }
      case "entry": {
        const entry = predecessor.value;
        if (entry < 0 || entry >= index) {
          const allowed =
            index === 0 ? "it is the first one, so give task_id" : `0 to ${index - 1} are allowed`;
          report(
            `${field}.entry`,
            `${entry} is not the position of an earlier task of the request; ${allowed}`,
          );
          return [];
        }
        twice(`tasks[${entry}]`);
        return [{ ...wanted, entry }];
      }
      default:
        report(field, "names no task; give task_id or entry");
        return [];
    }
  });
}

export function fromTaskLinks(links: TaskLinks): MessageInitShape<typeof GetDependenciesResponseSchema> {
  return {
    predecessors: links.predecessors.map(fromLinkedTask),
    dependents: links.dependents.map(fromLinkedTask),
    dependentCount: BigInt(links.dependentCount),
  };
}

export function fromLinkedTask(linked: LinkedTask): MessageInitShape<typeof LinkedTaskSchema> {
  const { counted } = linked;
  return {
    taskId: formatTaskId(linked.taskId),
    condition: CONDITIONS[linked.condition],
    ...optional("state", linked.state && fromTaskState(linked.state)),
    detail: linked.detail ?? "",
    queue: linked.queue ?? "",
    taskType: linked.type ?? "",
    ...optional("createTime", linked.createTime && timestampFromDate(linked.createTime)),
    ...(counted
      ? { countedState: fromTaskState(counted.state), countTime: timestampFromDate(counted.time) }
      : {}),
  };
}
