import { conditionRemedy, type DatabaseCondition } from "../database/database-condition.ts";
import { type DatabaseLock, lockEvidence, lockRemedy } from "../database/database-lock.ts";
import type { SeenAttempt } from "../workers/worker.ts";
import { agree, plural, type Reason, span } from "./reason.ts";

/** The database as the scheduler has it while it cannot be used. */
export interface Outage {
  readonly since: Date;
  readonly awayMs: number;
  /** What the last try said. */
  readonly error: string;
  readonly condition: DatabaseCondition;
  /** Set when it answers and another session holds a lock. */
  readonly lock: DatabaseLock | undefined;
  /** Attempts that this scheduler's workers run meanwhile, and the workers connected. */
  readonly runningCount: number;
  readonly workerCount: number;
  /** What waited in this scheduler's memory when the database went away. */
  readonly waitingCount: number;
}

/** Nothing is assigned, accepted or given up while the database cannot be used; what runs goes on. */
export function databaseUnavailable(outage: Outage): Reason {
  const { since, awayMs, error, condition, lock, runningCount, workerCount, waitingCount } = outage;
  return {
    code: "DATABASE_UNAVAILABLE",
    summary: `the database has ${lock || answers(condition) ? "not been usable" : "been away"} for ${span(awayMs)}: ${error}; ${plural(runningCount, "running task")} on ${plural(workerCount, "connected worker")} ${agree(runningCount, ["goes", "go"])} on, ${agree(runningCount, ["its result is", "their results are"])} kept and committed when it is ${lock ? "free" : answers(condition) ? "usable" : "back"}; nothing is given out and submits are refused`,
    since,
    evidence: [
      { key: "last_error", value: error, source: "database", ageMs: 0 },
      { key: "away_ms", value: String(Math.round(awayMs)), source: "database" },
      { key: "running_tasks", value: String(runningCount), source: "matcher" },
      { key: "connected_workers", value: String(workerCount), source: "matcher" },
      { key: "waiting_tasks_known", value: String(waitingCount), source: "matcher" },
      ...(lock ? lockEvidence(lock) : []),
    ],
    remedy: `${lock ? lockRemedy(lock.holder?.pid) : conditionRemedy(condition)}; everything goes on by itself then, and no worker is given up before it has had a full lease`,
  };
}

/** True when PostgreSQL is there. */
function answers(condition: DatabaseCondition): boolean {
  return ["disk_full", "read_only", "no_permission", "locked", "refused", "schema"].includes(condition);
}

/** What is known of an attempt without the database. */
export function heldMeanwhile(held: SeenAttempt, workerId: string): Reason {
  const evidence = [
    { key: "worker", value: workerId, source: "matcher" },
    { key: "attempt", value: held.attemptId, source: "matcher" },
  ];
  if (held.resultPending) {
    return {
      code: "RESULT_PENDING",
      summary: `the handler on ${workerId} has returned; the result waits for the database to be committed`,
      evidence,
      remedy:
        "it is stored when the database can be used again, without a restart of anything; scheduler and worker keep it until then",
    };
  }
  if (held.stage === "assigned") {
    return {
      code: "AWAITING_ACCEPT",
      summary: `it was assigned to ${workerId} ${span(held.ageMs)} ago, which has not accepted it yet`,
      evidence,
      remedy: "what becomes of it is decided when the database is back",
    };
  }
  if (held.stage === "accepted") {
    return {
      code: "AWAITING_START",
      summary: `${workerId} accepted it ${span(held.ageMs)} ago and has not reported its start`,
      evidence,
      remedy: `it starts there when a slot is free; if it lasts, look at the log of ${workerId}`,
    };
  }
  return {
    code: "RUNNING",
    summary: `it has been running on ${workerId} for ${span(held.ageMs)}${held.phase ? `, in ${held.phase} for ${span(held.phaseAgeMs)}` : ""}, and goes on`,
    evidence,
    remedy: "nothing to do; its result lands when the database is back",
  };
}
