/** Options of the client's calls and waits. */

/** Options of a call with one answer. */
export interface CallOptions {
  /** Timeout of the call in seconds, 0 to 2,147,483. @default the client's `timeoutS` */
  readonly timeoutS?: number;
  /** Aborts the call, which then throws the signal's reason; the scheduler may still execute it. @default none */
  readonly signal?: AbortSignal;
}

/** Options of `Client.find()`. */
export interface FindOptions extends CallOptions {
  /** Queue of the task. @default `default` */
  readonly queue?: string;
}

/** Which batches `Client.batches()` reads. */
export interface BatchFilter extends CallOptions {
  /** Only batches that still take tasks. @default false */
  readonly open?: boolean;
  /** Part of the title. @default any */
  readonly title?: string;
}

/** Options of `TaskHandle.retry()`. */
export interface RetryTaskOptions extends CallOptions {
  /** The next attempt gets no checkpoint and no step. @default false, and true for a task that has succeeded */
  readonly afresh?: boolean;
  /** Only this step of the ended task runs again, which has failed. Excludes `afresh`. @default every step that is not done */
  readonly step?: string;
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
