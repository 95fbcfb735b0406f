/** Changes of many tasks at once: what may be done to a task in which state, and the reasons why one stays as it is. */
import type { TaskConditions } from "./task-filter.ts";
import { END_STATES, OPEN_STATES, type TaskState } from "./task-state.ts";

/** What is done to each task. */
export type TaskChange =
  | { readonly kind: "cancel" }
  | { readonly kind: "retry"; readonly afresh?: boolean; readonly step?: string }
  | { readonly kind: "move"; readonly queue: string; readonly createQueue: boolean }
  | { readonly kind: "set_priority"; readonly priority: number }
  | { readonly kind: "delete" };

export type ChangeKind = TaskChange["kind"];

/** Which tasks. An empty list and undefined let everything through. */
export interface ChangeFilter extends TaskConditions {
  readonly taskIds: readonly number[];
  readonly states: readonly TaskState[];
  readonly batchId: number | undefined;
  readonly uniqueKey: string | undefined;
  readonly minAgeMs: number | undefined;
  readonly maxAgeMs: number | undefined;
  readonly minEndedAgeMs: number | undefined;
  readonly maxEndedAgeMs: number | undefined;
}

/** Why a task stays as it is, with what can be done, as shown to whoever asked. */
export const SKIPS = {
  TASK_NOT_FOUND: "no task has this id: none was accepted with it, or its record was dropped",
  TASK_ALREADY_ENDED: "the task has ended; retry it first to have it run again",
  TASK_NOT_RETRYABLE:
    "the task is running, ready to start, held, or waits for other tasks: a retry would change nothing",
  TASK_NOT_QUEUED: "a worker has the task; this change is for queued tasks",
  TASK_NOT_ENDED: "the task has not ended; cancel it first",
  TASK_UNCHANGED: "the task is already as the change would make it",
  UNIQUE_KEY_HELD: "another task holds its unique key; wait until that one frees it, or cancel it",
  DEPENDENCY_FAILED: "a task whose success it waits for has not succeeded; retry that one first",
  DEPENDENTS_PENDING: "its end has not reached the tasks that depend on it, which takes a moment; try again",
  STEP_NOT_FAILED:
    "the step has not failed, or the task has none of this name; `muster task ID` shows the steps of a task",
  QUEUE_FULL: "the queue takes no more tasks; raise its limit, or try again when fewer wait",
} as const;

export type SkipCode = keyof typeof SKIPS;

/** A task as a change finds it. */
export interface FoundTask {
  readonly id: number;
  readonly state: TaskState;
  readonly classId: number;
  readonly priority: number;
  readonly queue: string;
  readonly uniqueKey: string | undefined;
  /** Queued: it waits for its time or for a retry. */
  readonly waitsForTime: boolean;
  /** Queued: it waits for other tasks. */
  readonly waitsForTasks: boolean;
  /** What a change of it copies. */
  readonly bytes: number;
}

interface Rule {
  /** States that a filter without states stands for. */
  readonly byDefault: readonly TaskState[];
  /** States that a filter may name. */
  readonly allowed: readonly TaskState[];
}

const RULES: Readonly<Record<ChangeKind, Rule>> = {
  cancel: { byDefault: OPEN_STATES, allowed: OPEN_STATES },
  // A success is repeated only where that is asked for.
  retry: { byDefault: ["failed", "cancelled"], allowed: ["queued", ...END_STATES] },
  move: { byDefault: ["queued"], allowed: ["queued"] },
  set_priority: { byDefault: ["queued"], allowed: ["queued"] },
  delete: { byDefault: END_STATES, allowed: END_STATES },
};

// It runs again with what the other steps of an ended task have kept, of a success too.
const RETRY_OF_STEP: Rule = { byDefault: END_STATES, allowed: END_STATES };

function ruleOf(change: TaskChange): Rule {
  return change.kind === "retry" && change.step !== undefined ? RETRY_OF_STEP : RULES[change.kind];
}

/** The states that a filter of this change may name. */
export function allowedStates(change: TaskChange): readonly TaskState[] {
  return ruleOf(change).allowed;
}

/** The states that are looked for. Of tasks that are named by their ids every state: those in a wrong one are reported. */
export function wantedStates(change: TaskChange, { states, taskIds }: ChangeFilter): readonly TaskState[] {
  if (states.length > 0) return states;
  return taskIds.length > 0 ? [...OPEN_STATES, ...END_STATES] : ruleOf(change).byDefault;
}

/** Why the task stays as it is; undefined when it is changed, as far as its own row shows. */
export function skipOf(change: TaskChange, task: FoundTask): SkipCode | undefined {
  const hasEnded = task.state === "succeeded" || task.state === "failed" || task.state === "cancelled";
  switch (change.kind) {
    case "cancel":
      return hasEnded ? "TASK_ALREADY_ENDED" : undefined;
    case "retry":
      if (hasEnded) return undefined;
      if (change.step === undefined && task.state === "queued" && task.waitsForTime && !task.waitsForTasks)
        return undefined;
      return "TASK_NOT_RETRYABLE";
    case "move":
    case "set_priority": {
      if (hasEnded) return "TASK_ALREADY_ENDED";
      if (task.state !== "queued") return "TASK_NOT_QUEUED";
      const isSo = change.kind === "move" ? task.queue === change.queue : task.priority === change.priority;
      return isSo ? "TASK_UNCHANGED" : undefined;
    }
    case "delete":
      return hasEnded ? undefined : "TASK_NOT_ENDED";
    default:
      throw new Error(`unknown change ${JSON.stringify(change satisfies never)}`);
  }
}

/** Tasks that are handled in one transaction: at most so many, and so many bytes of theirs. */
export const STEP = { least: 50, most: 500, bytes: 4 * 1024 * 1024 } as const;

/** A step that lasts longer is followed by smaller ones: claims may wait for the locks of its tasks. Milliseconds. */
const LONG_MS = 100;

/**
 * The first of the tasks that one transaction handles: at least one.
 *
 * @param most How many at most.
 */
export function nextStep<T extends Pick<FoundTask, "bytes">>(
  tasks: readonly T[],
  most: number = STEP.most,
): readonly T[] {
  let bytes = 0;
  let count = 0;
  for (const task of tasks) {
    bytes += task.bytes;
    if (count === most || (count > 0 && bytes > STEP.bytes)) break;
    count++;
  }
  return tasks.slice(0, count);
}

/** How many tasks the next step has at most, after one that had at most `most` and took so long. */
export function sizeAfter(most: number, ms: number): number {
  if (ms > LONG_MS) return Math.max(STEP.least, Math.floor(most / 2));
  return ms < LONG_MS / 4 ? Math.min(STEP.most, most * 2) : most;
}
