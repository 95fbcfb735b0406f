/** Options of the client's calls and waits. */

/** Options of a call with one answer. */
export interface CallOptions {
  /** Timeout of the call in seconds, 0 to 2,147,483. @default the client's `timeoutS` */
  readonly timeoutS?: number;
  /** Aborts the call, which then throws the signal's reason; the scheduler may still execute it. @default none */
  readonly signal?: AbortSignal;
}

/** Options of `Client.submit()` and `Client.submitMany()`. */
export interface SubmitCallOptions extends CallOptions {
  /**
   * How long to wait for room in a full queue, in seconds, 0 to 2,147,483. The client submits again after the delay that
   * the scheduler asks for; `timeoutS` applies to each of these calls.
   * @default 0: a full queue throws a MusterError `QUEUE_FULL`, whose `retryAfterMs` is that delay
   */
  readonly roomTimeoutS?: number;
}

/** Options of `TaskHandle.result()` and `TaskHandle.watch()`. */
export interface WaitOptions {
  /**
   * Longest wait in seconds, 0 to 2,147,483; then a MusterError with the code `DeadlineExceeded` is thrown.
   * @default no limit
   */
  readonly timeoutS?: number;
  /** Aborts the wait, which then throws the signal's reason; the task goes on. @default none */
  readonly signal?: AbortSignal;
}
