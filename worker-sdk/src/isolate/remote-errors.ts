/** Errors that pass from a worker to the process of an isolated handler. */
import { classifyError } from "../attempt/failure/classify.ts";
import {
  CancelledError,
  DrainError,
  NonRetryableError,
  RetryableError,
  RevokedError,
  TimedOutError,
} from "../errors.ts";
import type { RemoteError, StopKind } from "./messages.ts";

/** An error for the other process. */
export function remoteError(error: unknown): RemoteError {
  const { code, message, failureClass } = classifyError(error, undefined);
  return { code, message, final: failureClass === "non_retryable" };
}

/** The error of the other process. */
export function localError({ code, message, final }: RemoteError): Error {
  return final ? new NonRetryableError(message, { code }) : new RetryableError(message, { code });
}

/** The reason of `ctx.signal`, with its message as the worker made it. */
export function stopReason(stop: StopKind, message: string): Error {
  const error = reasonOf(stop);
  Object.defineProperty(error, "message", { value: message });
  return error;
}

function reasonOf(stop: StopKind): Error {
  switch (stop) {
    case "cancelled":
      return new CancelledError("");
    case "timedOut":
      return new TimedOutError("");
    case "revoked":
      return new RevokedError("");
    case "drain":
      return new DrainError("");
    case "exceeded":
      return new NonRetryableError("");
  }
}
