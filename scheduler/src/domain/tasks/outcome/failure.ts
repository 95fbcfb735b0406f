/** Why attempts and tasks fail. */
import { type Facts, mergeFacts } from "@muster/common/facts";

/** How a failure is treated; mirrors `muster.v1.FailureClass`. */
export type FailureClass = "retryable" | "non_retryable" | "timed_out" | "out_of_memory" | "worker_lost";

/** Why an attempt or a task failed. */
export interface Failure {
  readonly failureClass: FailureClass;
  /** Stable upper-case code. */
  readonly code: string;
  /** One sentence, safe to show. */
  readonly message: string;
  readonly traceback?: string;
  /** Wait at least this long before the next attempt, milliseconds. */
  readonly retryAfterMs?: number;
  /** Facts for the caller, as JSON. */
  readonly details?: string;
  /** Small facts that are safe to show; absent for none. */
  readonly facts?: Facts;
}

/** The failure with facts that its handler had reported; its own facts come first. */
export function withReportedFacts(failure: Failure, reported: Facts): Failure {
  const facts = mergeFacts(failure.facts ?? {}, reported);
  return Object.keys(facts).length === 0 ? failure : { ...failure, facts };
}

/** Each fact as a text, for example `iteration = 3`. */
export function factsInWords({ facts = {} }: Failure): string[] {
  return Object.entries(facts).map(([name, value]) => `${name} = ${value}`);
}

/** A secondary step that failed although the work is done. */
export interface Warning {
  readonly step: string;
  readonly code: string;
  readonly message: string;
}

/** Longest `Failure.message` kept, in characters; the protocol says that receivers cut. */
export const MAX_FAILURE_MESSAGE = 4096;

/** Longest `Failure.traceback` kept, in characters. */
export const MAX_FAILURE_TRACEBACK = 65_536;

/** Longest `Failure.details` kept, in characters; longer ones are dropped. */
export const MAX_FAILURE_DETAILS = 4096;
