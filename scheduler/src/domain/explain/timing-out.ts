import { formatAttemptId, formatTaskId } from "../ids.ts";
import { passedTimeout } from "../tasks/hard-timeout.ts";
import type { RunningRecord } from "../workers/worker.ts";
import type { ActiveFacts } from "./active-facts.ts";
import { processEvidence, processOf } from "./assigned.ts";
import { type Reason, span } from "./reason.ts";

/** `TIMING_OUT`: a hard timeout is over, and the handler has not returned. */
export function timingOut(
  { task, holder, now }: ActiveFacts,
  worker: string,
  running: RunningRecord | undefined,
): Reason[] {
  const since = task.startTime ?? task.acceptTime;
  if (since === undefined) return [];
  const age = (from: Date | undefined) =>
    from === undefined ? 0 : Math.max(0, now.getTime() - from.getTime());
  const ages = { runAgeMs: age(since), phase: task.phase, phaseAgeMs: age(task.phaseTime) };
  const passed = passedTimeout(ages, task.options?.timeouts);
  if (!passed) return [];
  const overMs = passed.elapsedMs - passed.limitMs;
  const what = passed.phase === undefined ? "run timeout" : `timeout of phase ${passed.phase}`;
  const beatAgeMs = age(holder?.record.heartbeatTime);
  return [
    {
      code: "TIMING_OUT",
      summary: `its ${what} of ${span(passed.limitMs)} passed ${span(overMs)} ago; the handler on ${worker} was asked to stop and has not returned; whatever it returns, the attempt ends as TIMED_OUT, and it keeps its slot until then`,
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
      remedy: `it ends when the handler looks at ctx.signal or returns. To end it now stop its process${processOf(holder)}: the attempt then counts as lost and is tried again if the retry policy allows it, and what else ${worker} holds goes to other workers (muster drain ${worker} first lets that end; muster cancel ${formatTaskId(task.id)} first prevents another attempt)`,
    },
  ];
}
