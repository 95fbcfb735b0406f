import { cutWellFormed } from "@muster/common/text";
import { classNameOf, messageOf, tracebackOf } from "../attempt/failure/classify.ts";
import type { FatalMessage } from "../link/messages.ts";
import { createProgramLogger, type Logger } from "../logging/logger.ts";
import { processEnvironment } from "../options/connection-options.ts";

/** A worker that was made and does not run yet. */
export interface UnbornWorker {
  readonly id: string;
  readonly logger: Logger | undefined;
  /** Tells the scheduler over a connection made for it, blocking; false when it could not be told. */
  tell(fatal: FatalMessage): boolean;
}

let unborn: UnbornWorker | undefined;
let armed = false;

/**
 * From the SDK's import until a worker runs, an error that ends the process is logged as `worker.fatal`, and
 * told to the scheduler when a worker was made. It only listens: the process ends as it would have.
 */
export function armLastWords(): void {
  if (armed) return;
  armed = true;
  process.on("uncaughtExceptionMonitor", speak);
}

/** The worker for which the words would be spoken. */
export function lastWordsOf(worker: UnbornWorker): void {
  unborn = worker;
}

/** From now on somebody else looks after errors. */
export function disarmLastWords(): void {
  process.off("uncaughtExceptionMonitor", speak);
}

function speak(error: unknown): void {
  const fatal: FatalMessage = {
    phase: "startup",
    exceptionClass: classNameOf(error),
    exceptionMessage: cutWellFormed(messageOf(error), 4096),
    traceback: tracebackOf(error),
    exitCode: 1,
    attemptId: "",
  };
  const log = unborn?.logger ?? createProgramLogger("info");
  const workerId = unborn?.id ?? processEnvironment.WORKER_ID;
  log.error(
    {
      event: "worker.fatal",
      ...(workerId ? { worker_id: workerId } : {}),
      pid: process.pid,
      phase: fatal.phase,
      exception_class: fatal.exceptionClass,
      exception_message: fatal.exceptionMessage,
      traceback: fatal.traceback,
      exit_code: fatal.exitCode,
    },
    fatal.exceptionMessage,
  );
  if (unborn !== undefined && !unborn.tell(fatal)) {
    log.warn({ event: "worker.fatal.unsent" }, "the scheduler could not be told");
  }
}
