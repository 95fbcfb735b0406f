/** Fills in what a task's retry policy does not name: from its queue, else from the scheduler, else built in. */
import { type Backoff, DEFAULT_RETRY_POLICY, type RetryPolicy } from "./retry.ts";

/** Parts of a retry policy that have defaults. */
export interface RetryDefaults {
  readonly maxRetries?: number;
  readonly backoff?: Backoff;
  readonly lostDelaysMs?: readonly number[];
}

/** A part of a retry policy that has a default. */
export type RetryPart = keyof RetryDefaults;

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
  const lost = sourceOf("lostDelaysMs", own, queue, scheduler);
  return {
    policy: {
      ...(own ?? DEFAULT_RETRY_POLICY),
      maxRetries: maxRetries.value,
      backoff: backoff.value,
      ...(lost.value === undefined ? {} : { lostDelaysMs: lost.value }),
    },
    sources: { maxRetries: maxRetries.source, backoff: backoff.source, lostDelaysMs: lost.source },
  };
}

function sourceOf<P extends RetryPart>(
  part: P,
  own: RetryPolicy | undefined,
  queue: RetryDefaults | undefined,
  scheduler: RetryDefaults,
): { readonly value: RetryPolicy[P]; readonly source: RetrySource } {
  if (own?.[part] !== undefined && !isDefaulted(own, part)) return { value: own[part], source: "task" };
  const ofQueue = queue?.[part];
  if (ofQueue !== undefined) return { value: ofQueue as RetryPolicy[P], source: "queue" };
  const ofScheduler = scheduler[part];
  if (ofScheduler !== undefined) return { value: ofScheduler as RetryPolicy[P], source: "scheduler" };
  return { value: DEFAULT_RETRY_POLICY[part], source: "built_in" };
}

function isDefaulted({ defaulted }: RetryPolicy, part: RetryPart): boolean {
  return defaulted?.some((each) => each === part) ?? false;
}
