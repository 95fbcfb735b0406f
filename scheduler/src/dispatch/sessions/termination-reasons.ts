/** Reasons for the end of a session, and their effect on its attempts. */
import { Refusal } from "../../domain/errors.ts";
import { plural, span } from "../../domain/explain/reason.ts";
import { blameOf, LOSSES_WITHIN_MS } from "../../domain/tasks/outcome/blame.ts";
import { endedProcess, type Outcome, workerLost } from "../../domain/tasks/outcome/outcome.ts";
import {
  askAgainMs,
  type Contested,
  type ProcessName,
  processInWords,
} from "../../domain/workers/contest.ts";
import { type ExitRecord, exitInWords, type LaunchEndReason } from "../../domain/workers/launch.ts";
import type { AttemptRow, DecideLost, EndedSession } from "../../store/store.ts";
import type { RetryPolicies } from "../attempts/retry-policies.ts";

/** How a session ended, in words for its attempts. */
const TERMINATIONS: Readonly<Record<string, { requeueReason: string; how: string }>> = {
  lost: { requeueReason: "stale", how: "stopped answering" },
  fatal: { requeueReason: "fatal", how: "reported a fatal error and ended" },
  superseded: {
    requeueReason: "superseded",
    how: "was gone when a newer process of the same worker id registered",
  },
};

/** Decides for the attempts of a session that ended for `reason`. */
export function decideTermination(policies: Pick<RetryPolicies, "decide">, reason: string): DecideLost {
  return (row, ended) => {
    // An operator wanted its end, and the report of its supervisor is late.
    if (ended.killRequested && reason !== "fatal")
      return policies.decide(row, { kind: "released", reason: "drain" });
    // No task can have ended a process that lived when its id was taken.
    const termination = ended.takenAlive ? undefined : TERMINATIONS[reason];
    if (!termination) return policies.decide(row, { kind: "released", reason });
    const outcome = died(row, ended, termination.requeueReason, termination.how);
    return policies.decide(
      row,
      reason === "fatal" || ended.disconnected ? outcome : { ...outcome, silent: true },
    );
  };
}

/** The process of a session is taken for dead, by its own word, its supervisor's or its silence. */
function died(
  row: AttemptRow,
  ended: EndedSession,
  reason: string,
  how: string,
): Extract<Outcome, { kind: "lost" }> {
  const { workerId, fatal, held, lossesBefore } = ended;
  const blame = blameOf(row, held, fatal?.attemptId);
  const last = fatal ? `: ${fatal.exceptionClass}: ${fatal.exceptionMessage}` : "";
  const failure =
    blame === "named" && fatal
      ? endedProcess(workerId, fatal)
      : workerLost(workerId, `${how}${last}${earlierLosses(lossesBefore)}`);
  return { kind: "lost", reason, failure, blame, workerLosses: lossesBefore };
}

/** How often the same was seen of its worker id, which delays the next attempt. */
function earlierLosses(count: number): string {
  if (count === 0) return "";
  const processes =
    count === 1
      ? "1 earlier process of this worker id was"
      : `${count} earlier processes of this worker id were`;
  return `; ${processes} lost within ${span(LOSSES_WITHIN_MS)}`;
}

/** Decides for the attempts of a session whose process ended, as its supervisor saw. */
export function decideProcessEnd(
  policies: Pick<RetryPolicies, "decide">,
  reason: LaunchEndReason,
  exit: ExitRecord,
): DecideLost {
  return (row, ended) => {
    // A planned stop that took too long: as if the worker had released them itself.
    if (exit.stopRequested && !exit.outOfMemory)
      return policies.decide(row, { kind: "released", reason: "drain" });
    const how = `${exitInWords(exit)}, as its supervisor saw`;
    if (reason === "oom_killed") {
      const { workerId, held, lossesBefore } = ended;
      const words = `${how}${earlierLosses(lossesBefore)}`;
      const failure = { ...workerLost(workerId, words, "out_of_memory"), code: "OUT_OF_MEMORY" };
      const blame = blameOf(row, held, undefined);
      return policies.decide(row, {
        ...{ kind: "lost", reason: "oom_killed", failure, blame },
        workerLosses: lossesBefore,
      });
    }
    // Killed without a word is what a lease finds out as well, only later: the same word for both.
    const word = exit.fatal ? "fatal" : reason === "killed" ? "stale" : "exited";
    return policies.decide(row, died(row, ended, word, how));
  };
}

/** Why a process has to wait for its worker id. */
export function contestedRefusal(workerId: string, asking: ProcessName, contested: Contested): Refusal {
  const { holder, heldMs, leftMs, takeovers } = contested;
  return new Refusal(
    "unavailable",
    "ID_CONTESTED",
    `worker id ${workerId} belongs to another living process, ${processInWords(holder)}, which took it ${span(heldMs)} ago; ` +
      `it has gone from one living process to another ${plural(takeovers, "time")} lately, so ${processInWords(asking)} ` +
      `waits ${span(leftMs)} until it may take it, or until the other ends. Give each process a WORKER_ID of its own`,
    { retryDelayMs: askAgainMs(contested) },
  );
}

/** Why a stream that a newer one took the place of is ended. */
export function supersededRefusal(workerId: string): Refusal {
  return new Refusal(
    "aborted",
    "WORKER_SUPERSEDED",
    `a newer stream of worker ${workerId} took this one's place; two processes must not share a worker id`,
  );
}

/** Why the stream of a worker that was given up is ended. */
export function lostRefusal(workerId: string): Refusal {
  return new Refusal(
    "unavailable",
    "WORKER_LOST",
    `worker ${workerId} did not answer within its lease and grace, so its attempts were given to others; dial again`,
    { retryDelayMs: 0 },
  );
}
