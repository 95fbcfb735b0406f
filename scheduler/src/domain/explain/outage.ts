/** `DATABASE_UNAVAILABLE`, and reasons that need no database. */
import { conditionRemedy, type DatabaseCondition } from "../database/database-condition.ts";
import { type DatabaseLock, lockEvidence, lockRemedy } from "../database/database-lock.ts";
import type { SeenAttempt } from "../workers/worker.ts";
import { agree, plural, type Reason, span } from "./reason.ts";

/** The state of a scheduler while the database cannot be used. */
export interface Outage {
  readonly since: Date;
  readonly awayMs: number;
  /** Error of the last try. */
  readonly error: string;
  readonly condition: DatabaseCondition;
  /** Set when it answers and another session holds a lock. */
  readonly lock: DatabaseLock | undefined;
  /** Attempts that the workers of this scheduler run, and its connected workers. */
  readonly runningCount: number;
  readonly workerCount: number;
  /** Tasks that waited in this scheduler's memory when the database became unavailable. */
  readonly waitingCount: number;
}

/** `DATABASE_UNAVAILABLE`: no task is assigned and no lease expires; running tasks continue. */
export function databaseUnavailable(outage: Outage): Reason {
  const { since, awayMs, error, condition, lock, runningCount, workerCount, waitingCount } = outage;
  return {
    code: "DATABASE_UNAVAILABLE",
    summary: `PostgreSQL has been ${lock || answers(condition) ? "unusable" : "unavailable"} for ${span(awayMs)}: ${error}; ${plural(runningCount, "running task", ["continues", "continue"])} on ${plural(workerCount, "connected worker")}, and ${agree(runningCount, ["its result is", "their results are"])} committed when it is ${lock ? "unlocked" : answers(condition) ? "usable" : "back"}; no task is assigned, and submits are refused`,
    since,
    evidence: [
      { key: "last_error", value: error, source: "database", ageMs: 0 },
      { key: "away_ms", value: String(Math.round(awayMs)), source: "database" },
      { key: "running_tasks", value: String(runningCount), source: "matcher" },
      { key: "connected_workers", value: String(workerCount), source: "matcher" },
      { key: "waiting_tasks_known", value: String(waitingCount), source: "matcher" },
      ...(lock ? lockEvidence(lock) : []),
    ],
    remedy: `${lock ? lockRemedy(lock.holder?.pid) : conditionRemedy(condition)}; Muster then continues by itself, and every worker gets a full lease before it can expire`,
  };
}

/** True when PostgreSQL answers. */
function answers(condition: DatabaseCondition): boolean {
  return ["disk_full", "read_only", "no_permission", "locked", "refused", "schema"].includes(condition);
}

/** The state of an attempt as far as it is known without the database. */
export function heldMeanwhile(held: SeenAttempt, workerId: string): Reason {
  const evidence = [
    { key: "worker", value: workerId, source: "matcher" },
    { key: "attempt", value: held.attemptId, source: "matcher" },
  ];
  if (held.resultPending) {
    return {
      code: "RESULT_PENDING",
      summary: `the handler on ${workerId} has returned; its result waits for PostgreSQL`,
      evidence,
      remedy:
        "restore PostgreSQL; scheduler and worker keep the result, and it is committed then without a restart",
    };
  }
  if (held.stage === "assigned") {
    return {
      code: "AWAITING_ACCEPT",
      summary: `it was assigned to ${workerId} ${span(held.ageMs)} ago, which has not accepted it yet`,
      evidence,
      remedy: "restore PostgreSQL; it is accepted or requeued then",
    };
  }
  if (held.stage === "accepted") {
    return {
      code: "AWAITING_START",
      summary: `${workerId} accepted it ${span(held.ageMs)} ago and has not reported its start`,
      evidence,
      remedy: `it starts there when a slot is free; if it lasts, check the log of ${workerId}`,
    };
  }
  return {
    code: "RUNNING",
    summary: `it has been running on ${workerId} for ${span(held.ageMs)}${held.phase ? `, in ${held.phase} for ${span(held.phaseAgeMs)}` : ""}, and continues`,
    evidence,
    remedy: "nothing to do; its result is committed when PostgreSQL is back",
  };
}
