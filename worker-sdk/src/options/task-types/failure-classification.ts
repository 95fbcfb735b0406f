/** How the author of a worker classifies a failure. */

/** Answer of the option `classify`: how the scheduler treats a failure. */
export interface FailureClassification {
  /** False ends the task at once. */
  readonly retryable: boolean;
  /** Stable code, `[A-Z][A-Z0-9_]{0,63}`. @default the code of the error */
  readonly code?: string;
  /** One sentence without secrets. @default the message of the error */
  readonly message?: string;
  /** Shortest delay before the next attempt, in seconds. @default the task's retry policy alone */
  readonly retryAfterS?: number;
}
