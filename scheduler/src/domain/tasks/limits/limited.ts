/** Says why a concurrency key ended a task: the reasons of cancellations. */
import { formatTaskId } from "../../ids.ts";
import type { LimitReached } from "./concurrency.ts";

/** Tasks that are named. */
const MAX_NAMED = 3;

/** Why a new task ended at once. */
export function limitReachedText({ key, limit, taskIds }: LimitReached): string {
  const named = taskIds.slice(0, MAX_NAMED).map(formatTaskId).join(", ");
  const tasks = taskIds.length > MAX_NAMED ? `${named} and others` : named;
  const limitText = `the limit of ${limit} open ${limit === 1 ? "task" : "tasks"} with the concurrency key ${JSON.stringify(key)}`;
  return taskIds.length === 0 ? `${limitText} was reached` : `${limitText} was reached by ${tasks}`;
}

/** Why an older task ended, or was asked to. */
export function supersededText(key: string, by: number): string {
  return `the newer task ${formatTaskId(by)} took its place for the concurrency key ${JSON.stringify(key)}`;
}
