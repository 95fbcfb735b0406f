import { formatAttemptId, formatTaskId } from "../../ids.ts";
import { passedTimeout } from "../../tasks/attempts/hard-timeout.ts";
import type { RunningRecord } from "../../workers/worker.ts";
import { type Reason, span } from "../reason.ts";
import type { ActiveFacts } from "./active-facts.ts";
import { processEvidence, processOf } from "./assigned.ts";

/** `TIMING_OUT`: a hard timeout has expired, and the handler has not returned. */
export function timingOut(
  { task, holder, now }: ActiveFacts,
  worker: string,
  running: RunningRecord | undefined,
): Reason[] {
  const since = task.startTime ?? task.acceptTime;
  if (since === undefined) return [];
  const age = (from: Date | undefined) =>
    from === undefined ? 0 : Math.max(0, now.getTime() - from.getTime());
  const phaseLimitMs = running?.phase === task.phase ? running?.phaseTimeoutMs : undefined;
  const ages = { runAgeMs: age(since), phase: task.phase, phaseAgeMs: age(task.phaseTime), phaseLimitMs };
  const passed = passedTimeout(ages, task.options?.timeouts);
  if (!passed) return [];
  const overMs = passed.elapsedMs - passed.limitMs;
  const what = passed.phase === undefined ? "run timeout" : `timeout of phase ${passed.phase}`;
  const beatAgeMs = age(holder?.record.heartbeatTime);
  return [
    {
      code: "TIMING_OUT",
      summary: `its ${what} of ${span(passed.limitMs)} expired ${span(overMs)} ago; the handler on ${worker} was asked to stop and has not returned; the attempt ends as TIMED_OUT whatever it returns, and keeps its slot until then`,
      since: new Date(now.getTime() - overMs),
      evidence: [
        { key: "worker", value: worker, source: "database" },
        {
          key: "attempt",
          value: formatAttemptId({ taskId: task.id, epoch: task.epoch }),
          source: "database",
        },
        { key: "timeout", value: passed.phase ?? "run", source: "database" },
        { key: "timeout_ms", value: String(passed.limitMs), source: "database" },
        ...(passed.phase !== undefined && phaseLimitMs !== undefined
          ? [
              {
                key: "timeout_set_by",
                value: "the handler or its declaration",
                source: "heartbeat",
                ageMs: beatAgeMs,
              },
            ]
          : []),
        ...processEvidence(holder),
        { key: "elapsed_ms", value: String(Math.round(passed.elapsedMs)), source: "database" },
        ...(running
          ? [
              {
                key: "handler",
                value: running.cancelling
                  ? "asked to stop, still running"
                  : "still running by its last heartbeat",
                source: "heartbeat",
                ageMs: beatAgeMs,
              },
            ]
          : []),
      ],
      remedy: `it ends when the handler observes ctx.signal or returns. To end it now, stop its process${processOf(holder)}: the task is then tried again if its retry policy allows it, and the other attempts of ${worker} are requeued (run \`muster drain ${worker}\` first to let them finish, \`muster cancel ${formatTaskId(task.id)}\` first to prevent another attempt)`,
    },
  ];
}
