import type { TaskLog } from "../logging/logger.ts";

/** How far a handler is, in things done. */
export interface ProgressCount {
  /** Things done so far. */
  readonly done: number;
  /** Things to do in all; leave it out when unknown. */
  readonly total?: number;
  /** One safe sentence. */
  readonly message?: string;
}

/** How a phase is watched. */
export interface PhaseOptions {
  /** True: `ctx.progress` inside the phase starts its watchdog's clock again. Default false. */
  readonly progress?: boolean;
  /** Facts for the phase's events, for example `{ model: "whisper-large" }`. */
  readonly context?: Readonly<Record<string, string>>;
  /**
   * Seconds until it is reported as stuck. Default: the task's, then the worker's `warn`, then the
   * scheduler's, then the default of the phase's name, else never.
   */
  readonly warnAfterS?: number;
}

/** A secondary step that failed although the work is done. */
export interface TaskWarning {
  /** Name of the step, for example `upload_thumbnail`. */
  readonly step: string;
  /** Stable code, `[A-Z][A-Z0-9_]{0,63}`. */
  readonly code: string;
  /** One safe sentence. */
  readonly message: string;
}

/** What a handler works with. */
export interface TaskContext<Payload = unknown> {
  /** The input: parsed JSON (checked and shaped by the schema, when there is one), else bytes. */
  readonly payload: Payload;
  /** The input as it came. */
  readonly rawPayload: Uint8Array;
  /** Media type of the input. */
  readonly contentType: string;
  /** Metadata of the submit. */
  readonly headers: Readonly<Record<string, string>>;
  readonly task: { readonly id: string; readonly type: string; readonly queue: string };
  /** `number` counts from 1; `max` is how many the retry policy allows in all. */
  readonly attempt: { readonly id: string; readonly number: number; readonly max: number };
  /**
   * Aborts when the work is to stop; its reason is a CancelledError, TimedOutError, RevokedError or
   * DrainError. A handler that stops should let that reason be thrown.
   */
  readonly signal: AbortSignal;
  /** Log with the attempt's ids in every line: `ctx.log.info({ page: 3 }, "page read")` or `ctx.log.info("ready")`. */
  readonly log: TaskLog;
  /**
   * Says how far it is: a share from 0 to 1, or a count. Cheap to call often: at most ten a second are
   * sent, the latest always.
   * @throws RangeError when the share or the count is not a number in range.
   */
  progress(howFar: number | ProgressCount, message?: string): void;
  /**
   * Runs a named phase: its start and end are reported and timed, and a phase that lasts too long is
   * reported as stuck until it ends. Answers what `fn` answers and throws what it throws.
   * @throws TypeError when the name does not match `[a-z][a-z0-9_]{0,63}`, RangeError when `warnAfterS` is not a number
   * of seconds.
   */
  phase<T>(name: string, fn: () => T | Promise<T>, options?: PhaseOptions): Promise<T>;
  /** Sends a piece of the output ahead of the result; text goes as UTF-8. Lost first when the peer is slow. */
  output(chunk: string | Uint8Array): void;
  /** Notes that a secondary step failed: the task then ends as succeeded with warnings. */
  warn(warning: TaskWarning): void;
}
