/** Decides which task a dead process is attributed to. */
import { type AttemptKey, formatAttemptId } from "../../ids.ts";

/** Deaths and silences of processes after which a task runs alone in its process. */
export const ALONE_AFTER = 2;

/** Deaths of processes that end a task. */
export const POISONED_AFTER = 3;

/**
 * Wait after the first, second and any later loss of a process while the task ran, milliseconds. The first one says nothing
 * of the task, so it costs no time.
 */
const TASK_DELAYS_MS = [0, 10_000, 60_000];

/** Wait by how many processes of the same worker id were lost lately, milliseconds; short, for another may run the task. */
const WORKER_DELAYS_MS = [0, 1_000, 5_000, 30_000];

/** How long the loss of a process counts for the next process of the same worker id, milliseconds. */
export const LOSSES_WITHIN_MS = 300_000;

/** Least wait of a task that its worker named as what ended the process. */
const NAMED_DELAY_MS = 1_000;

/** What a process's death says of an attempt that it held. */
export type Blame =
  /** The worker named it as what ended the process. */
  | "named"
  /** It was the only one that ran. */
  | "lone"
  /** One of several that ran, and which of them ended the process is not known. */
  | "suspect"
  /** It did not run, or waited for another task, or another one is known to have ended the process. */
  | "innocent";

/** An attempt that a process held when it died. */
export interface HeldAttempt extends AttemptKey {
  readonly accepted: boolean;
  /** Since its handler was called; undefined when it was not, or the worker does not tell of starts. */
  readonly startAgeMs?: number | undefined;
  /** Its handler waited without its slots: it did not run. */
  readonly waits?: boolean;
}

/**
 * Whom a process's death is put down to.
 *
 * @param held All that the process held, `attempt` among them.
 * @param named The attempt that the worker itself named as the cause.
 */
export function blameOf(
  attempt: HeldAttempt,
  held: readonly HeldAttempt[],
  named: string | undefined,
): Blame {
  // One that is not held any more, as when a shared resource outlives the handler that made it, is no answer.
  if (held.some((other) => formatAttemptId(other) === named))
    return formatAttemptId(attempt) === named ? "named" : "innocent";
  const started = held.filter(({ startAgeMs }) => startAgeMs !== undefined);
  // A worker that reports no start may have started all that it accepted.
  const called = started.length > 0 ? started : held.filter(({ accepted }) => accepted);
  const ran = called.filter(({ waits }) => !waits);
  if (!ran.some((other) => formatAttemptId(other) === formatAttemptId(attempt))) return "innocent";
  return ran.length === 1 ? "lone" : "suspect";
}

/**
 * What follows a process's death or silence for a task that ran in it.
 *
 * @param losses Deaths and silences while the task ran, this one among them.
 * @param workerLosses Earlier processes of the same worker id that were lost lately.
 */
export function afterLoss(
  losses: number,
  blame: Exclude<Blame, "innocent">,
  workerLosses = 0,
): { readonly delayMs: number; readonly alone: boolean } {
  const delayMs = Math.max(delayAt(TASK_DELAYS_MS, losses - 1), delayAt(WORKER_DELAYS_MS, workerLosses));
  return {
    delayMs: blame === "named" ? Math.max(delayMs, NAMED_DELAY_MS) : delayMs,
    alone: blame === "named" || losses >= ALONE_AFTER,
  };
}

/** The delay at this place, the last one for all later places. */
function delayAt(delaysMs: readonly number[], place: number): number {
  return delaysMs[Math.min(place, delaysMs.length - 1)] ?? 0;
}
