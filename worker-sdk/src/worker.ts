/** The worker: registers handlers, connects to a scheduler, and runs the tasks that it assigns. */
import { reapAsProcessOne } from "@muster/common/process/process-one";
import type { TaskContext } from "./attempt/context.ts";
import { processAgeMs, systemClock } from "./clock.ts";
import type { ErrorDeclarations } from "./contract/declared-errors.ts";
import type { Schema, SchemaInput, SchemaOutput } from "./contract/schema.ts";
import type { TaskContract } from "./contract/task-contract.ts";
import { WorkerStoppedError } from "./errors.ts";
import { childState, ISOLATED } from "./isolate/in-child.ts";
import type { Middleware } from "./lifespan/lifespan.ts";
import { Link } from "./link/link.ts";
import type { FatalMessage } from "./link/messages.ts";
import type { LocalAccess } from "./local/access.ts";
import { invocation } from "./local/invocation.ts";
import { LOCAL } from "./local/parts.ts";
import type { Logger } from "./logging/logger.ts";
import { createProgramLogger, silentLogger } from "./logging/logger.ts";
import type { CompiledOptions } from "./options/compiled-options.ts";
import { processEnvironment } from "./options/connection-options.ts";
import type { EffectiveSetting } from "./options/effective-setting.ts";
import { effectiveSettings } from "./options/effective-settings.ts";
import { checkSeconds } from "./options/option-checks.ts";
import { compileOptions } from "./options/options.ts";
import { type HandleBatchOptions, type HandleOptions, Handlers } from "./options/task-types/handlers.ts";
import type { FatalInfo, WorkerOptions } from "./options/worker-options.ts";
import { ResourceLoaders } from "./resources/resource-loaders.ts";
import { Resources } from "./resources/resources.ts";
import type { EngineMode } from "./run/engine.ts";
import { Engine } from "./run/engine.ts";
import { installFatalHandler, removeFatalHandler } from "./run/fatal-handler.ts";
import { linkData } from "./run/link-data.ts";
import { runProgram } from "./run/program.ts";

/**
 * How long the fatal report of a worker that never started may delay the end of its process: its thread has to start.
 */
const FATAL_REPORT_MS = 3000;

/** Longest drain, in seconds: what Node's timers take. */
const MAX_DRAIN_S = 2_000_000;

/** Options of `Worker.stop()`. */
export interface StopOptions {
  /**
   * Reason, for the log and the scheduler.
   * @default `stop()`
   */
  readonly reason?: string;
  /**
   * Seconds that handlers may take before they are aborted.
   * @default the worker's `drainTimeoutS`
   */
  readonly timeoutS?: number;
}

/** State of a worker object. It only moves forward, in this order; `failed` means that an error ended it. */
export type WorkerStatus = "new" | "starting" | "ready" | "draining" | "stopped" | "failed";

/**
 * Runs the tasks that a Muster scheduler assigns. A program whose purpose is the worker calls `run()`; a process that
 * does other things as well calls `start()` and `stop()`. A worker starts once.
 *
 * @example
 * ```ts
 * import { Worker } from "@muster/worker";
 *
 * const worker = new Worker({
 *   tasks: { greet: async (ctx) => ({ text: `Hello, ${(ctx.payload as { name: string }).name}!` }) },
 * });
 * await worker.run();
 * ```
 */
export class Worker<Inputs = Record<string, unknown>, Services = unknown, TaskServices = unknown> {
  /** Resources that are loaded, and how others are loaded on request. */
  readonly resources: Resources;
  /** Resolves when the worker has ended: with `undefined` after a drain, with the error otherwise. Never rejects. */
  readonly closed: Promise<FatalInfo | undefined>;
  readonly #options: CompiledOptions;
  readonly #settings: readonly EffectiveSetting[];
  readonly #handlers: Handlers;
  readonly #loaders: ResourceLoaders;
  readonly #close: (fatal: FatalInfo | undefined) => void;
  #status: WorkerStatus = "new";
  #engine: Engine | undefined;
  #started: Promise<void> | undefined;

  /**
   * Checks the options; connects to nothing. Until the worker starts, an uncaught error of the process is logged and
   * reported to the scheduler.
   *
   * @throws OptionsError with every fault of the options.
   */
  constructor(options: WorkerOptions<Inputs, Services, TaskServices> = {}) {
    this.#options = compileOptions(options);
    this.#settings = effectiveSettings(options, this.#options, processEnvironment);
    this.#handlers = new Handlers(
      this.#options.tasks,
      this.#options.concurrency,
      this.#options.concurrencyGiven,
    );
    this.#loaders = new ResourceLoaders();
    this.resources = new Resources(this.#options.resources, this.#loaders, (names) =>
      this.#engine?.sendResources(names),
    );
    const { promise, resolve } = Promise.withResolvers<FatalInfo | undefined>();
    this.closed = promise;
    this.#close = resolve;
    const { id, logger } = this.#options;
    const child = childState();
    // The worker that started this process reports what ends it.
    if (child !== undefined) child.workers.push(this);
    else installFatalHandler({ id, logger, report: (fatal) => this.#reportFatal(fatal) });
  }

  /** Name of the worker. */
  get id(): string {
    return this.#options.id;
  }

  /** State of the worker. */
  get status(): WorkerStatus {
    return this.#status;
  }

  /**
   * Adds the handler of a defined task. It gets the input as the schema returns it, and the context; what it returns is
   * checked and sent as the result. Possible until the worker starts.
   *
   * @throws OptionsError when the type has a handler already, or an argument is not valid.
   * @throws WorkerStartedError when the worker has started.
   *
   * @example
   * ```ts
   * worker.handle(resize, async ({ url, width }, ctx) => {
   *   const image = await fetch(url, { signal: ctx.signal });
   *   return store(await shrink(image, width));
   * });
   * ```
   */
  handle<I extends Schema, O extends Schema, E extends ErrorDeclarations>(
    task: TaskContract<I, O, E>,
    handler: (
      input: SchemaOutput<I>,
      ctx: TaskContext<SchemaOutput<I>, Services, TaskServices>,
    ) => SchemaInput<O> | Promise<SchemaInput<O>>,
    options?: HandleOptions<SchemaOutput<I>>,
  ): this {
    this.#handlers.add(task, handler, options);
    return this;
  }

  /**
   * Adds a handler that runs several attempts of a defined task in one call. It gets their inputs and their contexts, and
   * returns an array with one entry for each, in the same order: the result, or an `Error` that fails this attempt alone. A
   * throw fails all of them. Possible until the worker starts.
   *
   * @throws OptionsError when the type has a handler already, or an argument is not valid, for example a batch larger than
   * the worker's `concurrency`.
   * @throws WorkerStartedError when the worker has started.
   *
   * @example
   * ```ts
   * worker.handleBatch(embed, (inputs) => model.embed(inputs.map(({ text }) => text)), {
   *   batch: { size: 16, waitMs: 50, key: ({ payload }) => payload.language },
   * });
   * ```
   */
  handleBatch<I extends Schema, O extends Schema, E extends ErrorDeclarations>(
    task: TaskContract<I, O, E>,
    handler: (
      inputs: readonly SchemaOutput<I>[],
      members: readonly TaskContext<SchemaOutput<I>, Services, TaskServices>[],
    ) => readonly (SchemaInput<O> | Error)[] | Promise<readonly (SchemaInput<O> | Error)[]>,
    options: HandleBatchOptions<SchemaOutput<I>>,
  ): this {
    this.#handlers.addBatch(task, handler, options);
    return this;
  }

  /**
   * Adds a middleware: it runs around every handler, inside of those that were added before it. It runs after the payload
   * was checked and before the result is; what it throws is classified as an error of the handler. Possible until the
   * worker starts.
   *
   * @throws WorkerStartedError when the worker has started.
   * @throws TypeError when it is no function.
   *
   * @example
   * ```ts
   * worker.use(async (ctx, next) => {
   *   try {
   *     return await next();
   *   } catch (error) {
   *     report(error, { task: ctx.task.id });
   *     throw error;
   *   }
   * });
   * ```
   */
  use(middleware: Middleware<Services>): this {
    // Its context has the services of this worker's lifespan.
    this.#handlers.use(middleware as Middleware);
    return this;
  }

  /**
   * Connects and takes tasks; resolves when the worker is registered and ready. It adds no listener to the process, and
   * logs only to the `logger` of the options. A second call waits for the first.
   *
   * @throws OptionsError when the worker has no task type.
   * @throws StartupTimeoutError when it is not registered in time.
   * @throws VerdictError when the scheduler refuses the worker.
   * @throws LifespanError when `lifespan` throws.
   * @throws IsolationError when a process for isolated handlers cannot be started, or does not have them.
   * @throws PreflightError when `preflight` throws.
   * @throws HttpListenError when the address for probes cannot be used.
   * @throws SupersededError when another process takes this worker's id.
   * @throws LinkError when the thread of the connection dies.
   * @throws WorkerStoppedError when it is stopped first.
   *
   * @example
   * ```ts
   * await worker.start();
   * server.on("close", () => worker.stop({ reason: "the server closes" }));
   * ```
   */
  start(): Promise<void> {
    if (childState() !== undefined) return this[ISOLATED]();
    const invoked = invocation()?.(this);
    if (invoked !== undefined) return Promise.resolve();
    removeFatalHandler();
    try {
      this.#started ??= this.#begin(this.#options.logger ?? silentLogger, {
        program: false,
        registerTimeoutFromMs: processAgeMs(),
        stdoutLogLevel: undefined,
      }).ready;
      return this.#started;
    } catch (error) {
      // A worker without a task type has not started: handle() is possible still.
      return Promise.reject(error);
    }
  }

  /**
   * Drains and ends the worker: it takes no new tasks, lets handlers finish, and waits until the scheduler has
   * acknowledged their results. A second call waits for the first. A worker that never started is only marked as
   * stopped.
   *
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

  /** Takes no new tasks until `resume()`; handlers that run go on. Does nothing before the start. */
  pause(reason: string): void {
    this.#engine?.pause(reason);
  }

  /** Ends `pause()`. A worker that an operator has paused takes tasks when that pause has ended as well. */
  resume(): void {
    this.#engine?.resume("resume()");
  }

  /**
   * Runs the worker as the program: it logs to standard output, drains on SIGTERM and SIGINT, reports uncaught errors,
   * and resolves after a drain. A second signal exits at once with 128 plus its number; an error that ends the worker
   * exits with 1. The register timeout counts from the start of the process.
   *
   * As process 1 of a container it starts the program again below a shell that reaps orphans; import
   * `@muster/worker/init` first to have that happen before the program has done any work.
   *
   * @throws WorkerStoppedError when the worker was started or stopped before.
   * @throws OptionsError when the worker has no task type.
   */
  async run(): Promise<void> {
    if (childState() !== undefined) return this[ISOLATED]();
    const invoked = invocation()?.(this);
    if (invoked !== undefined) return invoked;
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

  /** @internal For runs without a scheduler; a worker that was run so may still start. */
  [LOCAL](): LocalAccess {
    removeFatalHandler();
    this.#handlers.seal(this.#options.taskLifespan);
    const parts = { options: this.#options, resources: this.resources, loaders: this.#loaders };
    return {
      types: [...this.#options.tasks.keys()],
      open: async (settings) => {
        const { LocalWorker } = await import("./local/local-worker.ts");
        const local = new LocalWorker(parts, settings);
        await local.open();
        return local;
      },
    };
  }

  /** @internal In the process of an isolated handler: serves when the handlers are this worker's. Never resolves. */
  [ISOLATED](): Promise<never> {
    const child = childState();
    if (child !== undefined && !child.taken) {
      this.#handlers.seal(this.#options.taskLifespan);
      for (const { type, isolate } of this.#options.tasks.values())
        if (isolate !== undefined) child.types.push(type);
      const has = (type: string) => this.#options.tasks.get(type)?.isolate !== undefined;
      if (child.wanted.every(has)) {
        child.taken = true;
        void import("./isolate/child/child.ts").then(({ IsolatedProcess }) =>
          new IsolatedProcess(this.#options).serve(),
        );
      }
    }
    // What follows the start of a worker is not for this process.
    return new Promise(() => {});
  }

  /** Reports for a worker that never started, over a connection of its own. */
  #reportFatal(fatal: FatalMessage): boolean {
    if (this.#status !== "new") return false;
    const parts = { resources: this.resources, loaders: this.#loaders, settings: this.#settings };
    const data = linkData(this.#options, parts, [], {
      program: false,
      registerInMs: FATAL_REPORT_MS,
      stdoutLogLevel: undefined,
      ending: true,
    });
    return new Link(data, systemClock, { message() {}, died() {}, hung() {} }).sendFatal(
      fatal,
      FATAL_REPORT_MS,
    );
  }

  #begin(log: Logger, mode: EngineMode): Engine {
    this.#handlers.seal(this.#options.taskLifespan);
    this.#setStatus("starting");
    this.#loaders.seal();
    const parts = { resources: this.resources, loaders: this.#loaders, settings: this.#settings };
    const engine = new Engine(this.#options, log, parts, mode);
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
    // start() returns it, if it is called at all.
  });
  return promise;
}
