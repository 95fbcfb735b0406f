import type { TaskRecord } from "../../tasks/task.ts";
import type { FleetMember } from "../fleet.ts";
import { type Evidence, plural, type Reason, span } from "../reason.ts";
import type { WaitingFacts } from "./waiting-facts.ts";

/** `RUNS_ALONE`: the task runs in a process without other tasks, or its workers are reserved for such tasks. */
export function runsAlone(
  { task, taskClass, monotonicNow }: WaitingFacts,
  members: readonly FleetMember[],
  evidence: readonly Evidence[],
  since: Date,
): Reason {
  const nameOf = ({ candidate }: FleetMember) => candidate.workerId;
  if (!taskClass.alone) {
    const [first] = members;
    const holding = members.flatMap(({ held }) => held)[0]?.attemptId;
    const one = members.length === 1;
    return {
      code: "RUNS_ALONE",
      summary: `${plural(members.length, "worker")} that could run it ${one ? "is" : "are"} reserved for tasks that run alone, because processes died or stopped answering while those tasks ran${holding ? `: ${holding} on ${first ? nameOf(first) : "one"}` : ""}`,
      since,
      evidence,
      remedy: "it starts when those tasks have ended; to start it earlier, start another worker",
    };
  }
  const kept = members.find(({ candidate }) => (candidate.keptFreeUntil ?? 0) > monotonicNow);
  const [oldest] = (kept?.held ?? []).toSorted((a, b) => b.ageMs - a.ageMs);
  const waitsFor = kept
    ? `${nameOf(kept)} is reserved for it and still holds ${plural(kept.held.length, "attempt")}${oldest ? `, ${oldest.attemptId} for ${span(oldest.ageMs)}` : ""}`
    : `${plural(members.length, "worker")} that could run it hold${members.length === 1 ? "s" : ""} attempts`;
  return {
    code: "RUNS_ALONE",
    summary: `${lossesInWords(task)}, so its next attempt runs alone in a process; ${waitsFor}`,
    since,
    evidence: [...evidence, ...lossEvidence(task)],
    remedy: `it starts when a worker holds no attempt; to start it earlier, start another worker; run \`muster task t-${task.id}\` to see how its earlier attempts ended`,
  };
}

/** Outcomes of attempts whose process died or stopped answering. */
export const LOSS_OUTCOMES: ReadonlySet<string> = new Set([
  "requeued:stale",
  "requeued:fatal",
  "requeued:exited",
  "requeued:oom_killed",
  "requeued:superseded",
]);

/** `2 processes died while it ran`; empty when none was lost. */
export function lossesInWords({ requeueCounts }: Pick<TaskRecord, "requeueCounts">): string {
  const { deaths = 0, silences = 0 } = requeueCounts ?? {};
  const processes = (count: number, what: string) =>
    count > 0 ? [`${count} ${count === 1 ? "process" : "processes"} ${what} while it ran`] : [];
  return [...processes(deaths, "died"), ...processes(silences, "stopped answering")].join(" and ");
}

/** How many processes were lost while it ran. */
export function lossEvidence({ requeueCounts }: Pick<TaskRecord, "requeueCounts">): Evidence[] {
  const { deaths = 0, silences = 0 } = requeueCounts ?? {};
  return [
    { key: "process_deaths", value: String(deaths), source: "database" },
    ...(silences > 0 ? [{ key: "process_silences", value: String(silences), source: "database" }] : []),
  ];
}
