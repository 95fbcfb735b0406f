/** Signals and the end of the program. */
import { constants } from "node:os";
import { classNameOf, messageOf, tracebackOf } from "../attempt/failure/classify.ts";
import { settledWithin, systemClock } from "../clock.ts";
import type { Logger } from "../logging/logger.ts";
import { processEnvironment } from "../options/connection-options.ts";
import type { FatalInfo } from "../options/worker-options.ts";
import { flushSpans } from "../tracing/provider.ts";
import { removeFatalHandler } from "./fatal-handler.ts";
import { watchSupervisor } from "./supervisor-watch.ts";

/** Longest time that a program may stay alive after its worker has stopped. */
const LINGER_MS = 5000;

/** Longest time that the export of the last spans delays the end. */
const FLUSH_SPANS_MS = 3000;

const SIGNALS = ["SIGTERM", "SIGINT"] as const;

/** A worker that runs as the program. */
export interface RunningProgram {
  /** `startup`, `run` or `task`. */
  readonly phase: string;
  /** Resolves at the end: with `undefined` after a drain, with the error otherwise. */
  readonly ended: Promise<FatalInfo | undefined>;
  /** What the program exits with after its end; 1 after an error, by default 0. */
  readonly exitCode?: number;
  drain(reason: string, timeoutS: number): Promise<void>;
  fail(phase: string, error: Error): void;
}

/**
 * Runs a worker as the program: signals drain it, uncaught errors end it with a report. Resolves after a drain, with
 * the listeners of the process as they were before.
 */
export async function runProgram(
  log: Logger,
  drainTimeoutS: number,
  begin: () => RunningProgram,
): Promise<void> {
  let signalled = false;
  let engine: RunningProgram | undefined;
  const onSignal = (signal: NodeJS.Signals): void => {
    const code = 128 + (constants.signals[signal] ?? 0);
    if (signalled || engine === undefined) {
      log.warn({ event: "worker.killed", signal, exit_code: code }, `second signal: exiting with ${code}`);
      process.exit(code);
    }
    signalled = true;
    log.info({ event: "worker.signal", signal }, `${signal}: draining; a second signal exits at once`);
    void engine.drain(signal, drainTimeoutS);
  };
  const onFatal = (thrown: unknown): void => {
    const error = thrown instanceof Error ? thrown : new Error(messageOf(thrown), { cause: thrown });
    if (engine !== undefined) engine.fail(engine.phase, error);
    else
      log.error(
        {
          event: "worker.fatal",
          phase: "startup",
          exception_class: classNameOf(error),
          exception_message: error.message,
          traceback: tracebackOf(error),
          exit_code: 1,
        },
        error.message,
      );
    process.exit(1);
  };
  const stopWatching = watchSupervisor(processEnvironment, systemClock, () => {
    // Writes to the supervisor's pipes fail from now on, and must not end the process before its tasks.
    for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
    log.warn({ event: "worker.supervisor.gone" }, "the supervisor is gone: draining");
    void engine?.drain("its supervisor is gone", drainTimeoutS);
  });
  removeFatalHandler();
  for (const signal of SIGNALS) process.on(signal, onSignal);
  process.on("uncaughtException", onFatal);
  process.on("unhandledRejection", onFatal);
  try {
    engine = begin();
    const fatal = await engine.ended;
    if (!(await settledWithin(flushSpans(), FLUSH_SPANS_MS))) {
      const fields = { event: "worker.spans.unsent", waited_ms: FLUSH_SPANS_MS };
      log.warn(fields, "the last spans could not be exported in time");
    }
    const { exitCode = 0 } = engine;
    if (fatal !== undefined || exitCode !== 0) process.exit(exitCode || 1);
    // A start that was not over goes on by itself, and there is nothing that it could finish.
    if (engine.phase === "startup") process.exit(0);
  } finally {
    stopWatching();
    for (const signal of SIGNALS) process.off(signal, onSignal);
    process.off("uncaughtException", onFatal);
    process.off("unhandledRejection", onFatal);
  }
  // Handlers often leave sockets or engines open. `every` does not keep the process alive by itself.
  systemClock.every(LINGER_MS, () => {
    log.warn(
      { event: "worker.lingering" },
      `something keeps the process alive ${LINGER_MS / 1000} s after the end: exiting`,
    );
    process.exit(0);
  });
}
