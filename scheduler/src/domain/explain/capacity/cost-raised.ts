/** That the retry policy of a task raised its cost, in the reasons that depend on the cost. */
import { formatAttemptId } from "../../ids.ts";
import type { Evidence, Reason } from "../reason.ts";

/** A requeue after an out-of-memory death that raised the cost of its task. */
export interface CostRaised {
  readonly attemptId: string;
  /** For example `memory_mb from 4000 to 8000`. */
  readonly change: string;
}

/** The raises of these events. */
export function toCostRaises(
  events: readonly {
    readonly taskId: number | undefined;
    readonly epoch: number | undefined;
    readonly attributes: Readonly<Record<string, string>>;
  }[],
): CostRaised[] {
  return events.flatMap(({ taskId, epoch, attributes: { cost_raised: change } }) =>
    taskId === undefined || epoch === undefined || change === undefined
      ? []
      : [{ attemptId: formatAttemptId({ taskId, epoch }), change }],
  );
}

/** The evidence of each raise. */
export function raiseEvidence(raises: readonly CostRaised[] = []): Evidence[] {
  return raises.map(({ attemptId, change }) => ({
    key: "cost_raised",
    value: `${change} by its retry policy, because ${attemptId} ran out of memory`,
    source: "event",
  }));
}

/** A reason that no worker is large enough, with the raises that made it so. */
export function withRaises(reason: Reason, raises: readonly CostRaised[] = []): Reason {
  const last = raises.at(-1);
  if (last === undefined) return reason;
  const often = raises.length === 1 ? "" : "more than once, last ";
  return {
    ...reason,
    summary: `${reason.summary}; its retry policy raised the cost ${often}when ${last.attemptId} ran out of memory`,
    evidence: [...reason.evidence, ...raiseEvidence(raises)],
    remedy: `${reason.remedy}; its retry policy may limit the cost (\`max\` in onOutOfMemory)`,
  };
}
