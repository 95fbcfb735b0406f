/** Explains why a task waits that was taken from its worker with a delay. */
import { type Reason, span } from "../reason.ts";
import type { WaitingFacts } from "./waiting-facts.ts";

/** `SCHEDULED_FOR_LATER` of a task whose last attempt was revoked; undefined for any other. */
export function afterRevocation(
  { task, lastAttempt, now }: Pick<WaitingFacts, "lastAttempt" | "now" | "task">,
  runTime: Date,
): Reason | undefined {
  if (lastAttempt?.outcome !== "requeued:revoked") return undefined;
  const { endTime, number, workerId: worker = "an unknown worker" } = lastAttempt;
  const ago = endTime ? ` ${span(now.getTime() - endTime.getTime())} ago` : "";
  return {
    code: "SCHEDULED_FOR_LATER",
    summary: `attempt ${number} was taken from worker ${worker} by request${ago}; the task may start again in ${span(runTime.getTime() - now.getTime())}, at ${runTime.toISOString()}`,
    since: endTime,
    evidence: [
      { key: "run_time", value: runTime.toISOString(), source: "database" },
      { key: "revoked_attempt", value: String(number), source: "database" },
      { key: "worker", value: worker, source: "database" },
    ],
    remedy: `it starts by itself; run \`muster retry t-${task.id}\` to start it now, \`muster events t-${task.id}\` to see who took it and why`,
  };
}
