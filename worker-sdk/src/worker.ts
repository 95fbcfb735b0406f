import { reapAsProcessOne } from "@muster/common/process-one";
import { processAgeMs, systemClock } from "./clock.ts";
import { WorkerStoppedError } from "./errors.ts";
import { Link } from "./link/link.ts";
import type { FatalMessage } from "./link/messages.ts";
import type { Logger } from "./logging/logger.ts";
import { createProgramLogger, silentLogger } from "./logging/logger.ts";
import { checkSeconds } from "./options/option-checks.ts";
import type { CompiledOptions, FatalInfo, WorkerOptions } from "./options/options.ts";
import { compileOptions } from "./options/options.ts";
import { ResourceLoaders } from "./resources/resource-loaders.ts";
import { Resources } from "./resources/resources.ts";
import type { EngineMode } from "./run/engine.ts";
import { Engine } from "./run/engine.ts";
import { installFatalHandler, removeFatalHandler } from "./run/fatal-handler.ts";
import { linkData } from "./run/link-data.ts";
import { runProgram } from "./run/program.ts";

/** How long the fatal report of a worker that never started may delay the end of its process: its thread has to start. */
const FATAL_REPORT_MS = 3000;

/** Longest drain, in seconds: what Node's timers take. */
const MAX_DRAIN_S = 2_000_000;

/** How a worker is stopped. */
export interface StopOptions {
  /** Why, for the log and the scheduler; default `stop()`. */
  readonly reason?: string;
  /** How long handlers may take; default the worker's `drainTimeoutS`. */
  readonly timeoutS?: number;
}

/** Where a worker object stands. `starting` ends in one of the later ones; none is left backwards. */
export type WorkerStatus = "new" | "starting" | "ready" | "draining" | "stopped" | "failed";

/**
 * Runs tasks that a Muster scheduler gives out. A program calls `run()`; a process that does more calls
 * `start()` and `stop()`. A worker starts once.
 */
export class Worker<Inputs = Record<string, unknown>> {
  /** Resources that are loaded, and how others are loaded on request. */
  readonly resources: Resources;
  /** Resolves when the worker is over: with nothing after a drain, with what happened otherwise. */
  readonly closed: Promise<FatalInfo | undefined>;
  readonly #options: CompiledOptions;
  readonly #loaders: ResourceLoaders;
  readonly #close: (fatal: FatalInfo | undefined) => void;
  #status: WorkerStatus = "new";
  #engine: Engine | undefined;
  #started: Promise<void> | undefined;

  /** @throws OptionsError with every fault of the options. */
  constructor(options: WorkerOptions<Inputs>) {
    this.#options = compileOptions(options);
    this.#loaders = new ResourceLoaders();
    this.resources = new Resources(this.#options.resources, this.#loaders, (names) =>
      this.#engine?.sendResources(names),
    );
    const { promise, resolve } = Promise.withResolvers<FatalInfo | undefined>();
    this.closed = promise;
    this.#close = resolve;
    const { id, logger } = this.#options;
    installFatalHandler({ id, logger, report: (fatal) => this.#reportFatal(fatal) });
  }

  /** Name of the worker. */
  get id(): string {
    return this.#options.id;
  }

  get status(): WorkerStatus {
    return this.#status;
  }

  /**
   * Connects and takes work; resolves when registered and ready. Installs nothing in the process and
   * says nothing unless a logger was given. A second call waits for the first.
   * @throws StartupTimeoutError, VerdictError, PreflightError, HttpListenError, SupersededError, LinkError;
   * WorkerStoppedError when it is stopped first.
   */
  start(): Promise<void> {
    removeFatalHandler();
    this.#started ??= this.#begin(this.#options.logger ?? silentLogger, {
      program: false,
      registerTimeoutFromMs: processAgeMs(),
      stdoutLogLevel: undefined,
    }).ready;
    return this.#started;
  }

  /**
   * Takes no new work, lets handlers finish, delivers what is to be delivered, ends. A second call waits for the first.
   * A worker that never started is only marked as stopped.
   * @throws OptionsError when `timeoutS` is not a number of seconds.
   */
  async stop(options: StopOptions = {}): Promise<void> {
    checkSeconds("stop", "timeoutS", options.timeoutS, MAX_DRAIN_S);
    if (this.#engine === undefined) {
      if (this.#status === "new") this.#setStatus("stopped");
      removeFatalHandler();
      this.#started ??= rejected(new WorkerStoppedError());
      this.#close(undefined);
      return;
    }
    if (this.#status === "starting" || this.#status === "ready") this.#setStatus("draining");
    void this.#engine.drain(options.reason ?? "stop()", options.timeoutS);
    await this.closed;
  }

  /** Takes no new work until `resume()`; what runs goes on. */
  pause(reason: string): void {
    this.#engine?.pause(reason);
  }

  /** Takes work again. */
  resume(): void {
    this.#engine?.resume("resume()");
  }

  /**
   * Is the program: logs to standard output, drains on SIGTERM and SIGINT (a second one exits at once
   * with 128 + its number), reports uncaught errors, and resolves after a drain. Exits with code 1 when
   * the worker cannot start or go on. The register timeout counts from the process's start.
   */
  async run(): Promise<void> {
    reapAsProcessOne();
    const { logger, logLevel } = this.#options;
    const log = logger ?? createProgramLogger(logLevel);
    const stdoutLogLevel = logger === undefined && !process.stdout.isTTY ? logLevel : undefined;
    if (this.#started !== undefined) throw new WorkerStoppedError();
    await runProgram(log, this.#options.drainTimeoutS, () => {
      const engine = this.#begin(log, { program: true, registerTimeoutFromMs: 0, stdoutLogLevel });
      this.#started = engine.ready;
      return engine;
    });
  }

  /** Of a worker that never ran: over a connection made for it. */
  #reportFatal(fatal: FatalMessage): boolean {
    if (this.#status !== "new") return false;
    const parts = { resources: this.resources, loaders: this.#loaders };
    const data = linkData(this.#options, parts, [], {
      program: false,
      registerInMs: FATAL_REPORT_MS,
      stdoutLogLevel: undefined,
    });
    return new Link(data, systemClock, { message() {}, died() {}, hung() {} }).sendFatal(
      fatal,
      FATAL_REPORT_MS,
    );
  }

  #begin(log: Logger, mode: EngineMode): Engine {
    this.#setStatus("starting");
    this.#loaders.seal();
    const loadables = { resources: this.resources, loaders: this.#loaders };
    const engine = new Engine(this.#options, log, loadables, mode);
    this.#engine = engine;
    engine.ready.then(
      () => this.#setStatus("ready"),
      () => {
        if (this.#status === "starting") this.#setStatus("draining");
      },
    );
    void engine.ended.then((fatal) => {
      this.#setStatus(fatal === undefined ? "stopped" : "failed");
      if (fatal !== undefined) this.#options.onFatal?.(fatal);
      this.#close(fatal);
    });
    return engine;
  }

  #setStatus(status: WorkerStatus): void {
    if (this.#status === "stopped" || this.#status === "failed") return;
    this.#status = status;
  }
}

function rejected(error: Error): Promise<void> {
  const promise = Promise.reject(error);
  promise.catch(() => {
    // Whoever calls start() gets it; nobody may.
  });
  return promise;
}
