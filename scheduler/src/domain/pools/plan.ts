/** A decision as the steps that it would take. */
import type { PoolDecision } from "./decision/pool-decision.ts";

/** One step. */
export interface PlannedStep {
  readonly action: "launch" | "stop";
  /** Empty for launches. */
  readonly launchId: string;
  readonly count: number;
  readonly reason: string;
}

/** What would be launched, then what would be stopped. */
export function plannedSteps({
  launches,
  changes,
}: Pick<PoolDecision, "launches" | "changes">): PlannedStep[] {
  const byReason = Map.groupBy(launches, ({ reason }) => reason);
  const launched = [...byReason].map(
    ([reason, { length: count }]): PlannedStep => ({ action: "launch", launchId: "", count, reason }),
  );
  const stopped = changes.flatMap((change): PlannedStep[] => {
    const { launchId } = change.launch;
    if (change.kind === "stop") return [{ action: "stop", launchId, count: 1, reason: change.stop.reason }];
    if (change.kind === "ended" && change.outcome === "withdrawn")
      return [
        {
          action: "stop",
          launchId,
          count: 1,
          reason: "no launcher has received it, and it is not wanted any more",
        },
      ];
    return [];
  });
  return [...launched, ...stopped];
}
