/** Options of the client's calls and waits. */

/** Options of a call with one answer. */
export interface CallOptions {
  /** Timeout of the call in seconds, 0 to 2,147,483. @default the client's `timeoutS` */
  readonly timeoutS?: number;
  /** Aborts the call, which then throws the signal's reason; the scheduler may still execute it. @default none */
  readonly signal?: AbortSignal;
}

/** Options of `client.schedules.runNow()`. */
export interface RunNowOptions extends CallOptions {
  /**
   * Identifies the request, so that a call whose answer was lost may be repeated: all calls for the schedule with one id
   * answer with the task of the first, for as long as its record is kept. At most 128 of `A-Z a-z 0-9 . _ -`. Schedulers
   * that are older than the client ignore it.
   * @default each call submits a task
   */
  readonly requestId?: string;
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
