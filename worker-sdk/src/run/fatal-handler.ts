/** Handles uncaught errors of the process. */
import { cutWellFormed } from "@muster/common/text/text";
import { classNameOf, messageOf, tracebackOf } from "../attempt/failure/classify.ts";
import type { FatalMessage } from "../link/messages.ts";
import { createProgramLogger, type Logger } from "../logging/logger.ts";
import { processEnvironment } from "../options/connection-options.ts";

/** A worker that exists and has not started yet. */
export interface PendingWorker {
  readonly id: string;
  readonly logger: Logger | undefined;
  /** Reports to the scheduler over a connection of its own, and blocks meanwhile; false when that failed. */
  report(fatal: FatalMessage): boolean;
}

let pending: PendingWorker | undefined;
let installed = false;

/**
 * Until a worker runs, an error that ends the process is logged as `worker.fatal`, and reported to the scheduler when
 * there is a worker. It only listens: the process ends as it would without it.
 */
export function installFatalHandler(worker?: PendingWorker): void {
  if (worker !== undefined) pending = worker;
  if (installed) return;
  installed = true;
  process.on("uncaughtExceptionMonitor", onUncaught);
}

/** The worker starts, or never will: its program handles errors from here on. */
export function removeFatalHandler(): void {
  installed = false;
  pending = undefined;
  process.off("uncaughtExceptionMonitor", onUncaught);
}

function onUncaught(error: unknown): void {
  const fatal: FatalMessage = {
    phase: "startup",
    exceptionClass: classNameOf(error),
    exceptionMessage: cutWellFormed(messageOf(error), 4096),
    traceback: tracebackOf(error),
    exitCode: 1,
    attemptId: "",
  };
  const log = pending?.logger ?? createProgramLogger("info");
  const workerId = pending?.id ?? processEnvironment.WORKER_ID;
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
  if (pending !== undefined && !pending.report(fatal)) {
    log.warn({ event: "worker.fatal.unsent" }, "the report did not reach the scheduler");
  }
}
