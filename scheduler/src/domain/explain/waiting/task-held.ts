/** `TASK_HELD`: an operator keeps the task from starting. */
import { formatTaskId } from "../../ids.ts";
import type { TaskRecord } from "../../tasks/task.ts";
import { type Evidence, type Reason, span } from "../reason.ts";

/** Why a held task waits; undefined for one that is not held. */
export function taskHeld({ id, hold, options, epoch, runTime }: TaskRecord, now: Date): Reason | undefined {
  if (!hold) return undefined;
  const task = formatTaskId(id);
  const forMs = now.getTime() - hold.since.getTime();
  const fact = (key: string, value: string): Evidence => ({ key, value, source: "database", ageMs: forMs });
  const queueWaitMs = epoch === 0 ? options?.timeouts?.queueWaitMs : undefined;
  const limit =
    queueWaitMs === undefined ? "" : `; its queue timeout of ${span(queueWaitMs)} goes on meanwhile`;
  const later = runTime && runTime > now ? runTime.toISOString() : undefined;
  return {
    code: "TASK_HELD",
    summary: `the task has been held for ${span(forMs)}: ${hold.reason}${limit}`,
    since: hold.since,
    evidence: [
      fact("hold_reason", hold.reason),
      fact("hold_time", hold.since.toISOString()),
      ...(later === undefined ? [] : [fact("run_time", later)]),
    ],
    remedy: `run \`muster release ${task}\` when the reason is gone${later === undefined ? "" : `, and it starts at ${later} or later`}, or \`muster cancel ${task}\` to end it`,
  };
}
