/** Builds a fatal report. */
import { cutWellFormed } from "@muster/common/text/text";
import { currentAttemptId } from "../attempt/attempt-scope.ts";
import { classNameOf, messageOf, tracebackOf } from "../attempt/failure/classify.ts";
import { ReportedError } from "../attempt/failure/reported-error.ts";
import { LinkError, StartupTimeoutError, SupersededError, VerdictError } from "../errors.ts";
import type { Logger } from "../logging/logger.ts";

/** Longest message of an error that is reported, in characters. */
const MAX_MESSAGE = 4096;

/** Describes the error that ends the worker, for the scheduler. Call it in the async context of the throw. */
export function describeFatal(phase: string, error: Error) {
  const reported = error instanceof ReportedError ? error : undefined;
  return {
    attemptId: reported?.attemptId ?? currentAttemptId() ?? "",
    phase,
    exceptionClass: classNameOf(error),
    exceptionMessage: cutWellFormed(messageOf(error), MAX_MESSAGE),
    traceback: tracebackOf(error),
    exitCode: reported?.exitCode ?? 1,
    // Its attempts were ended one by one before.
    ...(reported === undefined ? {} : { afterResults: true }),
  };
}

/** Logs the error that ends the worker. */
export function logFatal(
  log: Logger,
  fatal: ReturnType<typeof describeFatal>,
  {
    event,
    error,
    startFacts,
  }: { readonly event: string; readonly error: Error; readonly startFacts: object },
): void {
  log.error(
    {
      event,
      phase: event === "worker.fatal" ? fatal.phase : "startup_timeout_unregistered",
      exception_class: fatal.exceptionClass,
      exception_message: fatal.exceptionMessage,
      traceback: fatal.traceback,
      exit_code: fatal.exitCode,
      ...(fatal.attemptId === "" ? {} : { attempt_id: fatal.attemptId }),
      ...startFacts,
      ...(error instanceof StartupTimeoutError ? { last_error: error.lastError } : {}),
    },
    error.message,
  );
}

/** False for errors that the scheduler itself caused, and for those that prove that it cannot be reached. */
export function mustBeReported(error: Error): boolean {
  return !(
    error instanceof VerdictError ||
    error instanceof SupersededError ||
    error instanceof StartupTimeoutError ||
    error instanceof LinkError
  );
}
