/** How far back failures are counted, and what a group of them selects. */
import type { FailureGroup } from "@muster/protocol";
import { TaskState } from "@muster/protocol";
import type { BulkRequest } from "../../data/bulk-change.ts";
import { quoted } from "../../format/shell.ts";

const HOUR_S = 3_600;

export const WINDOWS = [
  { value: "1h", label: "1 h", seconds: HOUR_S },
  { value: "24h", label: "24 h", seconds: 24 * HOUR_S },
  { value: "7d", label: "7 days", seconds: 7 * 24 * HOUR_S },
  { value: "31d", label: "31 days", seconds: 31 * 24 * HOUR_S },
] as const;

export type WindowName = (typeof WINDOWS)[number]["value"];

/** A window by its name in the address; any other text is a day. */
export function windowOf(name: string | undefined): (typeof WINDOWS)[number] {
  return WINDOWS.find(({ value }) => value === name) ?? WINDOWS[1];
}

type Group = Pick<FailureGroup, "cause" | "code" | "taskType" | "topFrame">;

/** Failed tasks of a group that ended within the window. */
export function retryOf({ cause, code, taskType, topFrame }: Group, seconds: number): BulkRequest {
  return {
    filter: {
      states: [TaskState.FAILED],
      taskTypes: taskType === "" ? [] : [taskType],
      details: cause === "" ? [] : [cause],
      failureCodes: code === "" ? [] : [code],
      topFrame,
      maxEndedAge: { seconds: BigInt(seconds) },
    },
    change: { case: "retryTasks", value: {} },
  };
}

/** Other groups that the same retry is for: a group without a frame selects those that have one, too. */
export function alikeOf(group: Group, groups: readonly FailureGroup[]): number {
  if (group.topFrame !== "") return 0;
  return groups.filter(
    ({ cause, code, taskType, topFrame }) =>
      cause === group.cause && code === group.code && taskType === group.taskType && topFrame !== "",
  ).length;
}

/** The same retry as a command. */
export function retryCommand({ cause, code, taskType, topFrame }: Group, within: WindowName): string {
  return [
    "npx muster retry --state failed",
    taskType === "" ? "" : `--type ${quoted(taskType)}`,
    cause === "" ? "" : `--detail ${quoted(cause)}`,
    code === "" ? "" : `--failure-code ${quoted(code)}`,
    topFrame === "" ? "" : `--frame ${quoted(topFrame)}`,
    `--ended-after ${within}`,
    "--dry-run",
  ]
    .filter((part) => part !== "")
    .join(" ");
}
