// Signals and uncaught errors of the process.
import type { Logger } from "../telemetry/logs/logger.ts";

/** Exit code of a fault of the program itself: `EX_SOFTWARE` of sysexits.h. */
const EXIT_FAULT = 70;

/** A request to stop. */
export interface StopRequest {
  /** Aborts with the first signal. */
  readonly signal: AbortSignal;
  /** Resolves with the first signal. */
  readonly requested: Promise<undefined>;
  dispose(): void;
}

/** The first SIGTERM or SIGINT requests an orderly stop; the second ends the process. */
export function onStopSignals(log: Logger): StopRequest {
  const controller = new AbortController();
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const handler = (name: NodeJS.Signals) => {
    if (controller.signal.aborted) {
      log.warn("scheduler.forced_exit", { signal: name });
      process.exit(name === "SIGINT" ? 130 : 143);
    }
    log.info("scheduler.signal", { signal: name });
    controller.abort();
    resolve(undefined);
  };
  const names = ["SIGTERM", "SIGINT"] as const;
  for (const name of names) process.on(name, handler);
  return {
    signal: controller.signal,
    requested: promise,
    dispose: () => {
      for (const name of names) process.off(name, handler);
    },
  };
}

/** Calls `reload` on SIGHUP, which never ends a scheduler. @returns Removes the handler. */
export function onHangup(log: Logger, reload: () => void): () => void {
  const handler = () => {
    log.info("scheduler.signal", { signal: "SIGHUP" });
    reload();
  };
  process.on("SIGHUP", handler);
  return () => process.off("SIGHUP", handler);
}

/**
 * Ends the process after an uncaught error, with a log line that names it, because its state is unknown then. An error
 * that one call caused ends that call alone.
 *
 * @param takeFault False when no call caused the error.
 * @returns Removes the handlers.
 */
export function onUncaughtErrors(log: Logger, takeFault: (error: unknown) => boolean): () => void {
  const handler = (error: unknown) => {
    if (takeFault(error)) return;
    log.error("scheduler.crashed", { error, exit_code: EXIT_FAULT });
    process.exit(EXIT_FAULT);
  };
  const events = ["uncaughtException", "unhandledRejection"] as const;
  for (const event of events) process.on(event, handler);
  return () => {
    for (const event of events) process.off(event, handler);
  };
}
