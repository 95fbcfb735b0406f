import { readThrown } from "./attempt/failure/thrown.ts";

/** Throw from a handler when trying again would fail the same way. Ends the task at once. */
export class NonRetryableError extends Error {
  override readonly name = "NonRetryableError";
  /** Stable code, `[A-Z][A-Z0-9_]{0,63}`; default `NON_RETRYABLE`. */
  readonly code: string;

  constructor(message: string, options: { code?: string; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.code = options.code ?? "NON_RETRYABLE";
  }
}

/** Throw from a handler when another attempt may succeed. */
export class RetryableError extends Error {
  override readonly name = "RetryableError";
  /** Stable code, `[A-Z][A-Z0-9_]{0,63}`; default `RETRYABLE`. */
  readonly code: string;
  /** Wait at least this many seconds before the next attempt; unset leaves it to the task's policy. */
  readonly retryAfterS: number | undefined;

  constructor(message: string, options: { code?: string; retryAfterS?: number; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.code = options.code ?? "RETRYABLE";
    this.retryAfterS = options.retryAfterS;
  }
}

/** Reason of `ctx.signal`: somebody cancelled the task. */
export class CancelledError extends Error {
  override readonly name = "CancelledError";
  constructor(reason: string) {
    super(reason === "" ? "The task was cancelled." : `The task was cancelled: ${reason}`);
  }
}

/** Reason of `ctx.signal`: a hard timeout of the run or of a phase ran out. */
export class TimedOutError extends Error {
  override readonly name = "TimedOutError";
}

/** The run timeout of an attempt is over. */
export function runTimedOut(limitMs: number): TimedOutError {
  return new TimedOutError(`The run took longer than ${limitMs / 1000} s.`);
}

/** Reason of `ctx.signal`: the attempt is no longer this worker's; whatever it returns is dropped. */
export class RevokedError extends Error {
  override readonly name = "RevokedError";
  constructor(reason: string) {
    super(`The attempt was revoked${reason === "" ? "." : `: ${reason}`}`);
  }
}

/** Reason of `ctx.signal`: the worker ends and its drain timeout ran out; the task runs elsewhere. */
export class DrainError extends Error {
  override readonly name = "DrainError";
  constructor(reason: string) {
    super(`The worker is draining${reason === "" ? "." : `: ${reason}`}`);
  }
}

/** Thrown by `start()`: no Welcome came within the register timeout. */
export class StartupTimeoutError extends Error {
  override readonly name = "StartupTimeoutError";
  /** Why the last dial failed; empty when none had failed yet. */
  readonly lastError: string;

  constructor(timeoutS: number, addresses: readonly string[], lastError: string) {
    super(
      `Not registered with ${addresses.join(", ")} within ${timeoutS} s (WORKER_REGISTER_TIMEOUT_S). ` +
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

/** Given to `onFatal`: another process or stream took this worker's place. */
export class SupersededError extends Error {
  override readonly name = "SupersededError";
  constructor(message: string) {
    super(
      `Another worker process or stream took this one's place: ${message}. Give every process its own id.`,
    );
  }
}

/** The thread that holds the connection ended unasked; the worker cannot go on. */
export class LinkError extends Error {
  override readonly name = "LinkError";
}

/** Thrown by `start()`: the address for probes and metrics (`http`, `WORKER_HTTP_ADDR`) cannot be listened on. */
export class HttpListenError extends Error {
  override readonly name = "HttpListenError";
}

/** Thrown by `start()`: the author's `preflight` failed; its error is the cause. */
export class PreflightError extends Error {
  override readonly name = "PreflightError";
  constructor(cause: unknown) {
    super(`preflight failed: ${readThrown(cause).message}`, { cause });
  }
}

/** Thrown by what must be said before the worker starts, when it has started. */
export class WorkerStartedError extends Error {
  override readonly name = "WorkerStartedError";
  constructor(what: string) {
    super(`${what}: the worker has started; say it before run() or start().`);
  }
}

/** Thrown by `start()` when the worker is stopped before it is ready, or was stopped already. */
export class WorkerStoppedError extends Error {
  override readonly name = "WorkerStoppedError";
  constructor() {
    super("The worker is stopped; a worker starts once, make a new one.");
  }
}
