/** What a worker process reports of its start and of its end. */

/** A phase of a worker's startup. */
export interface StartupPhaseRecord {
  readonly phase: string;
  readonly outcome: string;
  /** Since the process started, milliseconds. */
  readonly elapsedMs: number;
  readonly detail: string;
  readonly attributes: Readonly<Record<string, string>>;
}

/** A worker process's fatal report. */
export interface FatalRecord {
  readonly phase: string;
  readonly exceptionClass: string;
  readonly exceptionMessage: string;
  readonly traceback: string;
  readonly exitCode: number;
  /** Attempt whose handler raised it; undefined when the worker could not tell. */
  readonly attemptId?: string;
}
