/** How the state of a task is shown. */
import { TaskState } from "@muster/protocol";
import type { Look } from "./worker-state.ts";

const LOOKS: Readonly<Record<TaskState, Look>> = {
  [TaskState.UNSPECIFIED]: { word: "unknown", tone: "plain" },
  [TaskState.QUEUED]: { word: "queued", tone: "plain" },
  [TaskState.ASSIGNED]: { word: "assigned", tone: "info" },
  [TaskState.RUNNING]: { word: "running", tone: "info" },
  [TaskState.SUCCEEDED]: { word: "succeeded", tone: "good" },
  [TaskState.FAILED]: { word: "failed", tone: "bad" },
  [TaskState.CANCELLED]: { word: "cancelled", tone: "warn" },
};

export function taskLook(state: TaskState): Look {
  return LOOKS[state] ?? LOOKS[TaskState.UNSPECIFIED];
}

/** Names of the states in filters, in the order of a task's life. */
export const TASK_STATES: ReadonlyMap<string, TaskState> = new Map(
  [
    TaskState.QUEUED,
    TaskState.ASSIGNED,
    TaskState.RUNNING,
    TaskState.SUCCEEDED,
    TaskState.FAILED,
    TaskState.CANCELLED,
  ].map((state) => [LOOKS[state].word, state]),
);
