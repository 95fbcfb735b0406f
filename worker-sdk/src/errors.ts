/** The errors that handlers throw, and those that a worker ends with. */
import { readThrown } from "./attempt/failure/thrown.ts";

/** Options of a NonRetryableError. */
export interface NonRetryableErrorOptions extends ErrorOptions {
  /** Stable code, `[A-Z][A-Z0-9_]{0,63}`. @default `NON_RETRYABLE` */
  readonly code?: string;
  /**
   * Facts for the caller, at most 4096 characters as JSON: `TaskFailedError.details`. For those who may see the task's data.
   * @default none
   */
  readonly details?: unknown;
  /** Small facts for operators, as `ctx.fact` notes them: `{ iteration: 3 }`. @default none */
  readonly facts?: FailureFacts;
}

/** Options of a RetryableError. */
export interface RetryableErrorOptions extends ErrorOptions {
  /** Stable code, `[A-Z][A-Z0-9_]{0,63}`. @default `RETRYABLE` */
  readonly code?: string;
  /** Shortest delay before the next attempt, in seconds, 0 to a year. @default the task's retry policy alone */
  readonly retryAfterS?: number;
  /**
   * Facts for the caller, at most 4096 characters as JSON: `TaskFailedError.details`. For those who may see the task's data.
   * @default none
   */
  readonly details?: unknown;
  /** Small facts for operators, as `ctx.fact` notes them: `{ iteration: 3 }`. @default none */
  readonly facts?: FailureFacts;
}

/**
 * Small facts about a failure, by name, that operators see: at most 16, and 1 KiB together as JSON. Names match
 * `[a-z][a-z0-9_]{0,63}`, numbers are finite, texts are cut to 200 characters and hold no secret.
 */
export type FailureFacts = Readonly<Record<string, number | string | boolean>>;

/**
 * Throw it from a handler when another attempt would fail in the same way: the task ends at once.
 *
 * @example
 * ```ts
 * throw new NonRetryableError("the page has no text", { code: "NO_TEXT" });
 * ```
 */
export class NonRetryableError extends Error {
  override readonly name = "NonRetryableError";
  /** Stable code. */
  readonly code: string;
  /** Facts for the caller; undefined when there are none. */
  readonly details: unknown;
  /** Small facts for operators; undefined when there are none. */
  readonly facts: FailureFacts | undefined;

  constructor(message: string, options: NonRetryableErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.code = options.code ?? "NON_RETRYABLE";
    this.details = options.details;
    this.facts = options.facts;
  }
}

/**
 * Throw it from a handler when memory ran out: the attempt counts on the memory budget of the task, which may raise its cost.
 *
 * @example
 * ```ts
 * throw new OutOfMemoryError("the model does not fit into the GPU");
 * ```
 */
export class OutOfMemoryError extends Error {
  override readonly name = "OutOfMemoryError";
  /** Code of the attempt's failure. */
  readonly code = "OUT_OF_MEMORY";
}

/**
 * Throw it from a handler when another attempt may succeed, and to choose the code or the delay of the retry.
 *
 * @example
 * ```ts
 * throw new RetryableError("the API is busy", { code: "API_BUSY", retryAfterS: 30 });
 * ```
 */
export class RetryableError extends Error {
  override readonly name = "RetryableError";
  /** Stable code. */
  readonly code: string;
  /** Shortest delay before the next attempt, in seconds; undefined leaves it to the retry policy. */
  readonly retryAfterS: number | undefined;
  /** Facts for the caller; undefined when there are none. */
  readonly details: unknown;
  /** Small facts for operators; undefined when there are none. */
  readonly facts: FailureFacts | undefined;

  constructor(message: string, options: RetryableErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.code = options.code ?? "RETRYABLE";
    this.details = options.details;
    this.facts = options.facts;
    this.retryAfterS = options.retryAfterS;
  }
}

/**
 * Thrown by `ctx.iteration()`, and then the reason of `ctx.signal`: the task may begin no further iteration
 * (`maxIterations`). The task ends as failed with `BUDGET_EXHAUSTED`, whatever the handler does.
 */
export class BudgetExhaustedError extends NonRetryableError {
  /** The budget of the task. */
  readonly maxIterations: number;

  constructor(iteration: number, maxIterations: number) {
    super(`Iteration ${iteration} is beyond the budget of ${maxIterations} (maxIterations).`, {
      code: "BUDGET_EXHAUSTED",
    });
    this.maxIterations = maxIterations;
  }
}

/** Reason of `ctx.signal`: the task was cancelled. */
export class CancelledError extends Error {
  override readonly name = "CancelledError";
  constructor(reason: string) {
    super(reason === "" ? "The task was cancelled." : `The task was cancelled: ${reason}`);
  }
}

/** Reason of `ctx.signal`: the run or a phase exceeded its hard timeout. */
export class TimedOutError extends Error {
  override readonly name = "TimedOutError";
}

/** The error of an attempt that exceeded its run timeout. */
export function runTimedOut(limitMs: number): TimedOutError {
  return new TimedOutError(`The run took longer than ${limitMs / 1000} s.`);
}

/** Reason of `ctx.signal`: the attempt no longer belongs to this worker, and its result is dropped. */
export class RevokedError extends Error {
  override readonly name = "RevokedError";
  constructor(reason: string) {
    super(`The attempt was revoked${reason === "" ? "." : `: ${reason}`}`);
  }
}

/** Reason of `ctx.signal`: the worker drains and its drain timeout is over; the task runs on another worker. */
export class DrainError extends Error {
  override readonly name = "DrainError";
  constructor(reason: string) {
    super(`The worker is draining${reason === "" ? "." : `: ${reason}`}`);
  }
}

/** Thrown by `start()`: the worker was not registered within the register timeout. */
export class StartupTimeoutError extends Error {
  override readonly name = "StartupTimeoutError";
  /** Error of the last dial that failed; empty when none has failed. */
  readonly lastError: string;

  /** @param isDefaultAddress No address was given. @default false */
  constructor(timeoutS: number, addresses: readonly string[], lastError: string, isDefaultAddress = false) {
    super(
      `Not registered with ${addresses.join(", ")} within ${timeoutS} s (WORKER_REGISTER_TIMEOUT_S). ` +
        (isDefaultAddress ? "MUSTER_SCHEDULER_ADDR is not set, and the default is this machine. " : "") +
        `Last dial error: ${lastError || "none; the scheduler did not answer"}`,
    );
    this.lastError = lastError;
  }
}

/** Thrown by `start()`: the scheduler refused this worker, and dialling again would not change that. */
export class VerdictError extends Error {
  override readonly name = "VerdictError";
  /** gRPC status name, for example `UNAUTHENTICATED`. */
  readonly status: string;
  /** Stable reason, for example `INVALID_TOKEN`; empty when the scheduler gave none. */
  readonly reason: string;

  constructor(status: string, reason: string, message: string) {
    super(`The scheduler refused this worker: ${status}${reason === "" ? "" : ` (${reason})`}: ${message}`);
    this.status = status;
    this.reason = reason;
  }
}

/** Given to `onFatal`: another process or stream registered under this worker's id. */
export class SupersededError extends Error {
  override readonly name = "SupersededError";
  constructor(message: string) {
    super(
      `Another worker process or stream registered under this worker's id: ${message}. Give every process its own id.`,
    );
  }
}

/**
 * Thrown by `start()` and given to `onFatal`: the thread of the connection died or hangs, and the worker cannot go
 * on.
 */
export class LinkError extends Error {
  override readonly name = "LinkError";
}

/** Thrown by `start()`: the worker cannot listen on the address for probes and metrics (`http`, `WORKER_HTTP_ADDR`). */
export class HttpListenError extends Error {
  override readonly name = "HttpListenError";
}

/** Thrown by `start()`: the option `preflight` threw; its error is the cause. */
export class PreflightError extends Error {
  override readonly name = "PreflightError";
  constructor(cause: unknown) {
    super(`preflight failed: ${readThrown(cause).message}`, { cause });
  }
}

/** Thrown by `start()`: the option `lifespan` threw; its error is the cause. */
export class LifespanError extends Error {
  override readonly name = "LifespanError";
  constructor(cause: unknown) {
    super(`lifespan failed: ${readThrown(cause).message}`, { cause });
  }
}

/** Thrown by `start()`: a process for isolated handlers cannot be started, or does not have them. */
export class IsolationError extends Error {
  override readonly name = "IsolationError";
  constructor(cause: unknown) {
    super(`isolated handlers cannot run: ${readThrown(cause).message}`, { cause });
  }
}

/** Thrown by calls that are only possible before the worker starts, once it has. */
export class WorkerStartedError extends Error {
  override readonly name = "WorkerStartedError";
  constructor(what: string) {
    super(`${what}: the worker has started; call it before run() or start().`);
  }
}

/** What `ctx.pauseKey()` rejects with: the scheduler did not store the pause; the message has the reason. */
export class KeyPauseError extends Error {
  override readonly name = "KeyPauseError";
}

/**
 * What `ctx.checkpoint()` rejects with: the value was not stored, or that is not known because the attempt ended before the answer;
 * the message has the reason.
 */
export class CheckpointError extends Error {
  override readonly name = "CheckpointError";
}

/** Thrown by `start()` when the worker is stopped before it is ready, or was stopped already. */
export class WorkerStoppedError extends Error {
  override readonly name = "WorkerStoppedError";
  constructor() {
    super("The worker was started or stopped before; a worker starts once: make a new one.");
  }
}
