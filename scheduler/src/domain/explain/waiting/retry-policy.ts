/** Shows the retry policy that applies to a task, with the source of its parts. */
import type { Backoff } from "../../tasks/outcome/retry.ts";
import type { ResolvedRetry, RetrySource } from "../../tasks/outcome/retry-defaults.ts";
import { type Evidence, span } from "../reason.ts";

/** Waits of a long list that are named. */
const MAX_NAMED = 10;

/** Waits in words: `1 min, 5 min, 30 min`, or `1 s, times 2 each, at most 1 h`. */
export function backoffInWords(backoff: Backoff): string {
  if (backoff.kind === "fixed") {
    return waitsInWords(backoff.delaysMs);
  }
  const { initialMs, factor, maxMs, jitter } = backoff;
  const random = jitter === 0 ? "" : `, ${Math.round(jitter * 100)}% of it random`;
  return `${span(initialMs)}, times ${factor} each, at most ${span(maxMs)}${random}`;
}

/** A list of waits in words. */
export function waitsInWords(delaysMs: readonly number[]): string {
  const named = delaysMs.slice(0, MAX_NAMED).map(span).join(", ");
  return delaysMs.length > MAX_NAMED ? `${named} and ${delaysMs.length - MAX_NAMED} more` : named;
}

/** The policy of a task that waits for its next attempt. */
export function retryPolicyEvidence({ policy, sources }: ResolvedRetry, queue: string): Evidence[] {
  const of = (key: string, value: string, from: RetrySource): Evidence => ({
    key,
    value: `${value} (${SOURCES[from](queue)})`,
    source: from === "task" || from === "queue" ? "database" : "setting",
  });
  return [
    of("max_retries", String(policy.maxRetries), sources.maxRetries),
    of("backoff", backoffInWords(policy.backoff), sources.backoff),
    ...(policy.lostDelaysMs
      ? [of("lost_backoff", waitsInWords(policy.lostDelaysMs), sources.lostDelaysMs)]
      : []),
  ];
}

const SOURCES: Readonly<Record<RetrySource, (queue: string) => string>> = {
  task: () => "of the task",
  queue: (queue) => `default of queue ${queue}`,
  scheduler: () => "default of the scheduler",
  built_in: () => "built-in default",
};
