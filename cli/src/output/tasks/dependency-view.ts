/** Shows the dependencies of a task as text. */
import {
  DependencyCondition,
  type GetDependenciesResponse,
  type LinkedTask,
  TaskState,
} from "@muster/protocol";
import type { Io } from "../../io/io.ts";
import { ageCell, enumName, taskStateCell } from "../cells.ts";
import { type Cell, writeTable } from "../table.ts";

const STATE_COLUMNS = [
  { title: "STATE" },
  { title: "DETAIL", shrink: "last" },
  { title: "COUNTED" },
  { title: "TYPE", shrink: "first" },
  { title: "QUEUE", shrink: "first" },
  { title: "AGE" },
] as const;

/** What the task waits or waited for, then what waits or waited for it. */
export function writeDependencies(
  { predecessors, dependents }: Pick<GetDependenciesResponse, "dependents" | "predecessors">,
  io: Io,
): void {
  const row =
    (relation: string) =>
    (linked: LinkedTask): (Cell | string)[] => [
      relation,
      linked.taskId,
      enumName(DependencyCondition, linked.condition),
      ...stateCells(linked, io),
    ];
  writeTable(
    io.stdout,
    [{ title: "RELATION" }, { title: "TASK" }, { title: "CONDITION" }, ...STATE_COLUMNS],
    [...predecessors.map(row("waits for")), ...dependents.map(row("waited for by"))],
  );
}

/** Members of a batch. */
export function writeMembers(members: readonly LinkedTask[], io: Io): void {
  writeTable(
    io.stdout,
    [{ title: "TASK" }, ...STATE_COLUMNS],
    members.map((linked) => [linked.taskId, ...stateCells(linked, io)]),
  );
}

/** The cells of `STATE_COLUMNS`. */
function stateCells(linked: LinkedTask, { stdout, clock }: Io): (Cell | string)[] {
  return [
    linked.state === TaskState.UNSPECIFIED
      ? "not on record"
      : taskStateCell({ state: linked.state, detail: linked.detail }, stdout.colors),
    linked.detail,
    linked.countedState === TaskState.UNSPECIFIED ? "" : enumName(TaskState, linked.countedState),
    linked.taskType,
    linked.queue,
    ageCell(linked.createTime, clock.now()),
  ];
}
