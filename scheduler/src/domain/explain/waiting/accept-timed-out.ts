import { plural, type Reason, span } from "../reason.ts";
import type { WaitingFacts } from "./waiting-facts.ts";

/** `ACCEPT_TIMED_OUT`: its last assignment was not accepted in time; undefined when it is queued for another reason. */
export function acceptTimedOut({ task, lastAttempt, now }: WaitingFacts): Reason | undefined {
  const count = task.requeueCounts?.unaccepted ?? 0;
  if (count === 0 || lastAttempt?.outcome !== "requeued:unaccepted") return undefined;
  const worker = lastAttempt.workerId ?? "an unknown worker";
  const waitMs = task.runTime ? task.runTime.getTime() - now.getTime() : 0;
  return {
    code: "ACCEPT_TIMED_OUT",
    summary: `it was not accepted in time (${plural(count, "time")}), last by ${worker}; ${waitMs > 0 ? `it is assigned again in ${span(waitMs)}` : "it can be assigned again now"}`,
    since: lastAttempt.endTime,
    evidence: [
      { key: "unaccepted", value: String(count), source: "database" },
      { key: "worker", value: worker, source: "database" },
      ...(task.runTime ? [{ key: "run_time", value: task.runTime.toISOString(), source: "database" }] : []),
    ],
    remedy: `run \`muster why ${worker}\` to see why it does not answer; the task goes to another worker if there is one, after growing waits, and uses up no attempt; a result that ${worker} sends until then counts`,
  };
}
