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
