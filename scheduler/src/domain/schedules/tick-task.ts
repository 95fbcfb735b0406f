/** The task that a schedule submits. */
import { inKeyOrder } from "../tasks/concurrency.ts";
import type { NewTask } from "../tasks/task.ts";
import { overlapKey, type Schedule, type ScheduleTick, tickKey } from "./schedule.ts";

/**
 * The task of a tick: the template with the tick, a unique key that no later submit of the tick can take, and the
 * concurrency key of the overlap policy.
 *
 * @param template A task without a unique key.
 */
export function tickTask(template: NewTask, schedule: Schedule, tickMs: number): NewTask {
  const task = scheduledTask(template, schedule, { schedule: schedule.name, tickMs });
  return {
    ...task,
    uniqueKey: tickKey(schedule.name, tickMs),
    options: { ...task.options, unique: { while: "recorded" } },
  };
}

/** The task of a run on request: there may be several at one moment. */
export function manualTask(template: NewTask, schedule: Schedule, nowMs: number): NewTask {
  return scheduledTask(template, schedule, { schedule: schedule.name, tickMs: nowMs, manual: true });
}

function scheduledTask(template: NewTask, schedule: Schedule, tick: ScheduleTick): NewTask {
  const key = overlapKey(schedule);
  return {
    ...template,
    options: { ...template.options, tick },
    ...(key ? { concurrency: inKeyOrder([...(template.concurrency ?? []), key]) } : {}),
  };
}
