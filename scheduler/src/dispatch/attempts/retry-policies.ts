/** Finds the retry policy that applies to a task, and decides what the end of an attempt means under it. */
import type { Facts } from "@muster/common/facts";
import {
  decideOutcome,
  type Outcome,
  type OutcomeDecision,
  withFacts,
} from "../../domain/tasks/outcome/outcome.ts";
import type { RetryPolicy } from "../../domain/tasks/outcome/retry.ts";
import {
  type ResolvedRetry,
  type RetryDefaults,
  resolveRetry,
} from "../../domain/tasks/outcome/retry-defaults.ts";
import type { TaskOptions } from "../../domain/tasks/task.ts";
import type { QueueSettings } from "../../store/store.ts";
import { ALL_ACT, type Mechanisms } from "../mechanisms/mechanisms.ts";
import type { QueueSettingsCache } from "../queue-settings.ts";
import type { Attempt } from "./attempt.ts";

/** What a decision needs of an attempt. */
export type DecidedAttempt = Pick<
  Attempt,
  "attemptCount" | "outOfMemoryCount" | "requeueCounts" | "options" | "cancelReason"
> & {
  /** Undefined when it is not known: then the defaults of the scheduler apply. */
  readonly queue?: string | undefined;
  /** Iterations that it has reported; undefined when that is not known: then those that are stored count. */
  readonly iterations?: number | undefined;
  /** What its handler has noted for its failure. */
  readonly facts?: Facts | undefined;
};

/**
 * Defaults are read when an attempt ends without a success, so a change also applies to tasks that were submitted before. A
 * success reads nothing.
 */
export class RetryPolicies {
  readonly #settings: Pick<QueueSettingsCache, "of">;
  readonly #scheduler: RetryDefaults;
  readonly #mechanisms: Pick<Mechanisms, "outcomeModes">;
  readonly #fallback: RetryPolicy;
  /** Policies of tasks that name none, by the settings of their queue. */
  readonly #ofQueues = new WeakMap<QueueSettings, RetryPolicy>();

  /** @param mechanisms Whether limits of attempts and the rule of poisoned tasks act; they do without it. */
  constructor(
    settings: Pick<QueueSettingsCache, "of">,
    scheduler: RetryDefaults,
    mechanisms: Pick<Mechanisms, "outcomeModes"> = ALL_ACT,
  ) {
    this.#settings = settings;
    this.#scheduler = scheduler;
    this.#mechanisms = mechanisms;
    this.#fallback = resolveRetry(undefined, undefined, scheduler).policy;
  }

  /** The policy that applies now. */
  of(options: TaskOptions | undefined, queue: string | undefined): RetryPolicy {
    const own = options?.retry;
    const settings = queue === undefined ? undefined : this.#settings.of(queue);
    if (own) return resolveRetry(own, settings, this.#scheduler).policy;
    return settings ? this.#ofQueue(settings) : this.#fallback;
  }

  /** The same with the source of each part. */
  resolve(options: TaskOptions | undefined, queue: string): ResolvedRetry {
    return resolveRetry(options?.retry, this.#settings.of(queue), this.#scheduler);
  }

  /** What an attempt's end means for its task. A failure has the facts that its handler noted. */
  decide(attempt: DecidedAttempt, outcome: Outcome): OutcomeDecision {
    return decideOutcome(
      {
        attemptCount: attempt.attemptCount,
        outOfMemoryCount: attempt.outOfMemoryCount,
        counts: attempt.requeueCounts,
        retry: outcome.kind === "succeeded" ? undefined : this.of(attempt.options, attempt.queue),
        budget: budgetOf(attempt),
        cancelReason: attempt.cancelReason,
        modes: outcome.kind === "succeeded" ? undefined : this.#mechanisms.outcomeModes(attempt.queue),
      },
      withFacts(outcome, attempt.facts),
      Math.random(),
    );
  }

  #ofQueue(settings: QueueSettings): RetryPolicy {
    const known = this.#ofQueues.get(settings);
    if (known) return known;
    const { policy } = resolveRetry(undefined, settings, this.#scheduler);
    this.#ofQueues.set(settings, policy);
    return policy;
  }
}

function budgetOf({ options, iterations }: DecidedAttempt): { used: number; max: number } | undefined {
  const max = options?.maxIterations;
  return max === undefined ? undefined : { used: iterations ?? options?.iterations ?? 0, max };
}
