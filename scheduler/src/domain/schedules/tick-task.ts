/** The task that a schedule submits. */
import { inKeyOrder } from "../tasks/limits/concurrency.ts";
import type { NewTask } from "../tasks/task.ts";
import { overlapKey, runKey, type Schedule, type ScheduleTick, tickKey } from "./schedule.ts";

/**
 * The task of a tick: the template with the tick, a unique key that no later submit of the tick can take, and the
 * concurrency key of the overlap policy.
 *
 * @param template A task without a unique key.
 */
export function tickTask(template: NewTask, schedule: Schedule, tickMs: number): NewTask {
  const task = scheduledTask(template, schedule, { schedule: schedule.name, tickMs });
  return whileRecorded(task, tickKey(schedule.name, tickMs));
}

/**
 * The task of a run on request: there may be several at one moment.
 *
 * @param requestId Of the calls with one id only the first submits a task, by its unique key; undefined without one.
 */
export function manualTask(
  template: NewTask,
  schedule: Schedule,
  nowMs: number,
  requestId: string | undefined,
): NewTask {
  const task = scheduledTask(template, schedule, { schedule: schedule.name, tickMs: nowMs, manual: true });
  return requestId === undefined ? task : whileRecorded(task, runKey(schedule.name, requestId));
}

function whileRecorded(task: NewTask, uniqueKey: string): NewTask {
  return { ...task, uniqueKey, options: { ...task.options, unique: { while: "recorded" } } };
}

function scheduledTask(template: NewTask, schedule: Schedule, tick: ScheduleTick): NewTask {
  const key = overlapKey(schedule);
  return {
    ...template,
    options: { ...template.options, tick },
    ...(key ? { concurrency: inKeyOrder([...(template.concurrency ?? []), key]) } : {}),
  };
}
