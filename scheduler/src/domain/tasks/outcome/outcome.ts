/** Decides what the end of an attempt means for its task. */
import type { Facts } from "@muster/common/facts";
import type { Observation, OutcomeModes } from "../../mechanisms/mechanism.ts";
import type { FatalRecord } from "../../workers/worker.ts";
import type { AttemptMetrics, EndState, RequeueCounts } from "../task.ts";
import { ALONE_AFTER, afterLoss, type Blame, POISONED_AFTER } from "./blame.ts";
import { type Failure, type FailureClass, type Warning, withReportedFacts } from "./failure.ts";
import { backoffMs, DEFAULT_RETRY_POLICY, type OutOfMemoryChange, type RetryPolicy } from "./retry.ts";

/** How an attempt came to its end, as reported by its worker or concluded by the scheduler. */
export type Outcome =
  | {
      readonly kind: "succeeded";
      readonly output: Uint8Array;
      readonly contentType: string;
      readonly warnings: readonly Warning[];
    }
  | { readonly kind: "failed"; readonly failure: Failure }
  | { readonly kind: "cancelled"; readonly message: string }
  /** Given back or taken back without blame; `reason` names why, for example `drain`. */
  | {
      readonly kind: "released";
      readonly reason: string;
      /** Least wait before the next attempt, milliseconds; none by default. */
      readonly delayMs?: number;
    }
  /** It was not accepted in time. */
  | { readonly kind: "unaccepted" }
  /** The worker is gone; `reason` is the word after `requeued:`, for example `stale`. */
  | {
      readonly kind: "lost";
      readonly reason: string;
      readonly failure: Failure;
      /** Set when the worker's process is taken for dead: what its death says of this attempt. */
      readonly blame?: Blame;
      /** The worker stopped answering, and nothing shows that its process died: it may be cut off or frozen. */
      readonly silent?: boolean;
      /** Earlier processes of the same worker id that were lost lately. */
      readonly workerLosses?: number;
    };

/** What the decision needs to know of the attempt. */
export interface AttemptFacts {
  /** Attempts begun that count, this one among them; 1 for the first. */
  readonly attemptCount: number;
  /** Deaths by memory before this attempt. */
  readonly outOfMemoryCount: number;
  /** Requeues before this attempt that count against the task. */
  readonly counts: RequeueCounts | undefined;
  readonly retry: RetryPolicy | undefined;
  /** Iterations that the task has begun, and may begin; absent when it has no budget. */
  readonly budget?: { readonly used: number; readonly max: number } | undefined;
  /** Set when the task's cancellation was requested. */
  readonly cancelReason: string | undefined;
  /** Whether limits of attempts and the rule of poisoned tasks act; undefined when they do. */
  readonly modes?: OutcomeModes | undefined;
}

/** What becomes of the task. */
export type OutcomeDecision =
  | {
      readonly kind: "finish";
      readonly state: EndState;
      readonly detail: string;
      readonly output?: Uint8Array;
      readonly outputContentType?: string;
      readonly failure?: Failure;
      readonly warnings?: readonly Warning[];
      readonly metrics?: AttemptMetrics;
      readonly observed?: readonly Observation[];
    }
  | {
      readonly kind: "requeue";
      /** The word after `requeued:` in the event, for example `retry`, `stale`, `drain`. */
      readonly reason: string;
      readonly delayMs: number;
      /** False when the attempt is given back without blame. */
      readonly costsAttempt: boolean;
      readonly outOfMemory: boolean;
      /** The count that grows by it. */
      readonly counts?: keyof RequeueCounts;
      /** The task runs alone in its process from now on. */
      readonly alone?: boolean;
      /** How the task's requirements change for its next attempts. */
      readonly change?: OutOfMemoryChange;
      readonly failure?: Failure;
      /** What mechanisms in mode `observe` would have done instead. */
      readonly observed?: readonly Observation[];
    };

/**
 * Decides what an attempt's end means for its task. The only place that decides it: results, lost
 * workers, revocations and timeouts all come through here.
 *
 * @param random A number in [0, 1), for the backoff's jitter.
 */
export function decideOutcome(facts: AttemptFacts, outcome: Outcome, random: number): OutcomeDecision {
  switch (outcome.kind) {
    case "succeeded":
      return {
        kind: "finish",
        state: "succeeded",
        detail: outcome.warnings.length > 0 ? "succeeded_with_warnings" : "succeeded",
        output: outcome.output,
        outputContentType: outcome.contentType,
        warnings: outcome.warnings,
      };
    case "cancelled":
      return finishCancelled();
    case "released":
      if (facts.cancelReason !== undefined) return finishCancelled();
      return {
        kind: "requeue",
        reason: outcome.reason,
        delayMs: outcome.delayMs ?? 0,
        costsAttempt: false,
        outOfMemory: false,
      };
    case "unaccepted":
      if (facts.cancelReason !== undefined) return finishCancelled();
      return {
        kind: "requeue",
        reason: "unaccepted",
        delayMs: unacceptedDelayMs(facts.counts?.unaccepted ?? 0),
        costsAttempt: false,
        outOfMemory: false,
        counts: "unaccepted",
      };
    case "failed":
      return decideFailure(facts, outcome.failure, "retry", random);
    case "lost":
      return outcome.blame === undefined
        ? decideFailure(facts, outcome.failure, outcome.reason, random)
        : decideDeath(facts, outcome, outcome.blame);
    default:
      return unreachable(outcome);
  }
}

/** At once the first time, since another worker may take it; then 1, 2, 4, ... seconds, 5 minutes at most. */
function unacceptedDelayMs(before: number): number {
  return before === 0 ? 0 : Math.min(300_000, 1_000 * 2 ** Math.min(before - 1, 20));
}

/** Processes that were lost while the task ran, before this attempt. */
function lossesBefore({ counts }: AttemptFacts): number {
  return (counts?.deaths ?? 0) + (counts?.silences ?? 0);
}

/** The wait that the policy names for attempts that were lost with their worker; 0 when it names none. */
function lostDelayMs({ retry }: AttemptFacts, losses: number): number {
  const delaysMs = retry?.lostDelaysMs;
  return delaysMs === undefined ? 0 : backoffMs({ kind: "fixed", delaysMs }, losses, 0);
}

/**
 * The death of a process costs an attempt only where it is known who ended it. Only deaths end a task as
 * poisoned: a worker that is silent may live, behind a network or a database that was away.
 */
function decideDeath(
  facts: AttemptFacts,
  { failure, reason, silent, workerLosses }: Extract<Outcome, { kind: "lost" }>,
  blame: Blame,
): OutcomeDecision {
  if (facts.cancelReason !== undefined) return finishCancelled(failure);
  const free = { kind: "requeue", reason, costsAttempt: false, outOfMemory: false } as const;
  if (blame === "innocent") return { ...free, delayMs: 0 };
  const deaths = (facts.counts?.deaths ?? 0) + 1;
  const losses = lossesBefore(facts) + 1;
  const { delayMs: leastMs, alone } = afterLoss(losses, blame, workerLosses);
  const delayMs = Math.max(leastMs, lostDelayMs(facts, losses));
  const mode = facts.modes?.poison ?? "act";
  const apart = alone && mode === "act" ? { alone } : {};
  const counted = { counts: silent ? "silences" : "deaths", ...apart } as const;
  const observed = mode === "observe" && alone && isFirstAlone(losses, blame) ? [RUN_ALONE] : [];
  if (blame === "suspect") return withObserved({ ...free, ...counted, delayMs, failure }, observed);
  const poisoned = !silent && deaths >= POISONED_AFTER && !triesElsewhere(facts, failure);
  if (poisoned && mode === "act") return { kind: "finish", state: "failed", detail: "POISONED", failure };
  if (poisoned && mode === "observe" && deaths === POISONED_AFTER) observed.push(POISONED);
  const decision = withObserved(decideFailure(facts, failure, reason, 0), observed);
  if (decision.kind !== "requeue") return decision;
  return { ...decision, ...counted, delayMs: Math.max(decision.delayMs, delayMs) };
}

/**
 * True for the loss with which a task would first run alone, as far as the counts show it: a worker that names the cause of
 * its death does so with the first one.
 */
function isFirstAlone(losses: number, blame: Blame): boolean {
  return blame === "named" ? losses === 1 : losses === ALONE_AFTER;
}

const RUN_ALONE: Observation = {
  mechanism: "poison",
  would: "run_alone",
  reason: "worker processes were lost while it ran, so it would run alone in its process",
};

const POISONED: Observation = {
  mechanism: "poison",
  would: "end_task",
  reason: `${POISONED_AFTER} worker processes died while it ran, so it would end with POISONED`,
};

function withObserved(decision: OutcomeDecision, observed: readonly Observation[]): OutcomeDecision {
  return observed.length === 0
    ? decision
    : { ...decision, observed: [...observed, ...(decision.observed ?? [])] };
}

function decideFailure(
  facts: AttemptFacts,
  failure: Failure,
  reason: string,
  random: number,
): OutcomeDecision {
  if (facts.cancelReason !== undefined) return finishCancelled(failure);
  const policy = facts.retry ?? DEFAULT_RETRY_POLICY;
  if (failure.failureClass === "non_retryable")
    return { kind: "finish", state: "failed", detail: failure.code, failure };
  // Another attempt could begin no iteration.
  if (facts.budget && facts.budget.used >= facts.budget.max)
    return { kind: "finish", state: "failed", detail: "BUDGET_EXHAUSTED", failure };
  switch (failure.failureClass) {
    case "out_of_memory":
      return limited(facts, failure, policy.maxOutOfMemory, facts.outOfMemoryCount, {
        ...requeue(failure, reason, 0),
        ...withChange(policy),
      });
    case "worker_lost":
      // Alone it says nothing about the task; `afterLoss` delays what was lost before.
      return limited(
        facts,
        failure,
        policy.maxRetries,
        facts.attemptCount - 1,
        requeue(failure, reason, lostDelayMs(facts, lossesBefore(facts) + 1)),
      );
    case "timed_out":
    case "retryable": {
      if (failure.failureClass === "timed_out" && policy.retryTimeouts === false)
        return { kind: "finish", state: "failed", detail: failure.code, failure };
      const wait = backoffMs(policy.backoff, facts.attemptCount, random);
      const again = requeue(failure, reason, Math.max(wait, failure.retryAfterMs ?? 0));
      return limited(facts, failure, policy.maxRetries, facts.attemptCount - 1, again);
    }
    default:
      return unreachable(failure.failureClass);
  }
}

/** Ends a task that has used up what its policy allows, or tries it again where the limit does not act. */
function limited(
  { modes }: AttemptFacts,
  failure: Failure,
  allowed: number,
  used: number,
  again: Extract<OutcomeDecision, { kind: "requeue" }>,
): OutcomeDecision {
  if (used < allowed) return again;
  const mode = modes?.attempt_limits ?? "act";
  // A policy that allows no retry asks for one attempt; that is no limit which was reached.
  if (mode === "act" || allowed === 0) return exhausted(failure, allowed);
  const beyond = { ...again, delayMs: Math.max(again.delayMs, BEYOND_LIMIT_MS) };
  if (mode === "off" || used > allowed) return beyond;
  const reason = `it has used up the ${allowed} ${allowed === 1 ? "retry" : "retries"} of its policy, so it would end with RETRIES_EXHAUSTED`;
  return { ...beyond, observed: [{ mechanism: "attempt_limits", would: "end_task", reason }] };
}

/** Least wait of a task beyond its limit: without one it would never end and never rest, milliseconds. */
const BEYOND_LIMIT_MS = 1_000;

function requeue(
  failure: Failure,
  reason: string,
  delayMs: number,
): Extract<OutcomeDecision, { kind: "requeue" }> {
  const outOfMemory = failure.failureClass === "out_of_memory";
  return { kind: "requeue", reason, delayMs, costsAttempt: !outOfMemory, outOfMemory, failure };
}

function withChange({ onOutOfMemory }: RetryPolicy): { change?: OutOfMemoryChange } {
  return onOutOfMemory ? { change: onOutOfMemory } : {};
}

/** Its next attempt needs another kind of worker, and its policy allows one: its deaths so far do not condemn it. */
function triesElsewhere({ retry, outOfMemoryCount }: AttemptFacts, { failureClass }: Failure): boolean {
  if (failureClass !== "out_of_memory" || retry?.onOutOfMemory === undefined) return false;
  return outOfMemoryCount < retry.maxOutOfMemory;
}

/** Where no retry was allowed none was exhausted: the task failed with its failure. */
function exhausted(failure: Failure, allowed: number): OutcomeDecision {
  return {
    kind: "finish",
    state: "failed",
    detail: allowed > 0 ? "RETRIES_EXHAUSTED" : failure.code,
    failure,
  };
}

function finishCancelled(failure?: Failure): OutcomeDecision {
  return failure
    ? { kind: "finish", state: "cancelled", detail: "cancelled", failure }
    : { kind: "finish", state: "cancelled", detail: "cancelled" };
}

/** The outcome, in which a failure has the facts that its handler reported, also one that the scheduler concluded. */
export function withFacts(outcome: Outcome, facts: Facts | undefined): Outcome {
  if (facts === undefined || !("failure" in outcome)) return outcome;
  return { ...outcome, failure: withReportedFacts(outcome.failure, facts) };
}

/** The failure recorded for an attempt whose worker is gone. */
export function workerLost(
  workerId: string,
  how: string,
  failureClass: FailureClass = "worker_lost",
): Failure {
  return { failureClass, code: "WORKER_LOST", message: `worker ${workerId} ${how}` };
}

/** The failure recorded for an attempt whose handler ended its worker's process. */
export function endedProcess(workerId: string, fatal: FatalRecord): Failure {
  return {
    failureClass: "worker_lost",
    code: codeOf(fatal.exceptionClass),
    message: `${fatal.exceptionMessage} (${fatal.exceptionClass}, which its handler did not catch; it ended the process of worker ${workerId})`,
    traceback: fatal.traceback,
  };
}

/** `TypeError` as `TYPE_ERROR`. */
function codeOf(exceptionClass: string): string {
  const code = exceptionClass
    .replaceAll(/([a-z0-9])([A-Z])/g, "$1_$2")
    .toUpperCase()
    .replaceAll(/[^A-Z0-9]+/g, "_")
    .replace(/^[^A-Z]+/, "")
    .slice(0, 64);
  return code === "" ? "UNCAUGHT_ERROR" : code;
}

/** The failure recorded for an attempt that its living worker no longer knows of. */
export function forgottenByWorker(workerId: string): Failure {
  return {
    failureClass: "worker_lost",
    code: "FORGOTTEN_BY_WORKER",
    message: `worker ${workerId} accepted it, and its heartbeats no longer name it`,
  };
}

function unreachable(value: never): never {
  throw new TypeError(`unknown case ${JSON.stringify(value)}`);
}
