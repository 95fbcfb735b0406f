/** Fills in what a task's retry policy does not name: from its queue, else from the scheduler, else built in. */
import { type Backoff, DEFAULT_RETRY_POLICY, type RetryPolicy } from "./retry.ts";

/** Parts of a retry policy that have defaults. */
export interface RetryDefaults {
  readonly maxRetries?: number;
  readonly backoff?: Backoff;
}

/** A part of a retry policy that has a default. */
export type RetryPart = "maxRetries" | "backoff";

/** Where a part comes from. */
export type RetrySource = "task" | "queue" | "scheduler" | "built_in";

/** A complete retry policy with the source of each part that has a default. */
export interface ResolvedRetry {
  readonly policy: RetryPolicy;
  readonly sources: Readonly<Record<RetryPart, RetrySource>>;
}

/**
 * The policy that applies to a task now.
 *
 * @param own What the task was submitted with.
 */
export function resolveRetry(
  own: RetryPolicy | undefined,
  queue: RetryDefaults | undefined,
  scheduler: RetryDefaults,
): ResolvedRetry {
  const maxRetries = sourceOf("maxRetries", own, queue, scheduler);
  const backoff = sourceOf("backoff", own, queue, scheduler);
  return {
    policy: { ...(own ?? DEFAULT_RETRY_POLICY), maxRetries: maxRetries.value, backoff: backoff.value },
    sources: { maxRetries: maxRetries.source, backoff: backoff.source },
  };
}

/** True when the task names every part itself: no default applies. */
export function isComplete(own: RetryPolicy): boolean {
  return own.defaulted === undefined || own.defaulted.length === 0;
}

function sourceOf<P extends RetryPart>(
  part: P,
  own: RetryPolicy | undefined,
  queue: RetryDefaults | undefined,
  scheduler: RetryDefaults,
): { readonly value: RetryPolicy[P]; readonly source: RetrySource } {
  if (own && !own.defaulted?.includes(part)) return { value: own[part], source: "task" };
  const ofQueue = queue?.[part];
  if (ofQueue !== undefined) return { value: ofQueue as RetryPolicy[P], source: "queue" };
  const ofScheduler = scheduler[part];
  if (ofScheduler !== undefined) return { value: ofScheduler as RetryPolicy[P], source: "scheduler" };
  return { value: DEFAULT_RETRY_POLICY[part], source: "built_in" };
}
