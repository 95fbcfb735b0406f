/** The options of a worker. */
import type { Lifespan, TaskLifespan } from "../lifespan/lifespan.ts";
import type { Logger, LogLevel } from "../logging/logger.ts";
import type { PayloadOptions } from "../payloads/payload-options.ts";
import type { StartupReporter } from "../run/startup.ts";
import type { ObjectStore } from "../storage/object-store.ts";
import type { Backpressure } from "./backpressure.ts";
import type { ConnectionOptions } from "./connection-options.ts";
import type { ScratchOptions } from "./scratch-options.ts";
import type { TaskLogOptions } from "./task-log-options.ts";
import type { FailureClassification } from "./task-types/failure-classification.ts";
import type { TaskDefinitions } from "./task-types/task-definition.ts";

/** The error that ended a worker; given to `onFatal`, and the value of `Worker.closed`. */
export interface FatalInfo {
  /** When it happened: `startup`, `run` (no handler ran) or `task` (a handler ran). */
  readonly phase: string;
  /** The error: `VerdictError`, `SupersededError`, `LinkError`, ..., or what the program threw. */
  readonly error: Error;
}

/**
 * Options of `Worker`. The option wins over the environment variable, which wins over the default.
 *
 * @example
 * ```ts
 * const options: WorkerOptions = {
 *   tasks: { "ocr.page": async (ctx) => recognise(ctx.rawPayload, ctx.signal) },
 *   queues: ["default", "nightly"],
 *   concurrency: 4,
 *   drainTimeoutS: 120,
 * };
 * ```
 */
export interface WorkerOptions<Inputs = Record<string, unknown>, Services = unknown, TaskServices = unknown>
  extends ConnectionOptions {
  /**
   * Task types that this worker can run, with their handlers: 1 to 1000 together with those of `worker.handle()`.
   * @default none; then `worker.handle()` has to be called before the start
   */
  readonly tasks?: TaskDefinitions<Inputs, NoInfer<Services>, NoInfer<TaskServices>>;
  /**
   * Sets the worker up while it connects, before `preflight`; what it returns is `ctx.services`. Torn down after the last
   * handler has returned, or when the start fails: within the drain timeout, at least 5 s. A throw ends the worker.
   * @default none
   */
  readonly lifespan?: Lifespan<Services>;
  /**
   * Sets each attempt up; what it returns is `ctx.taskServices`. Torn down when the handler has ended. A throw, also of the
   * tear-down, fails the attempt as one of the handler does.
   * @default none
   */
  readonly taskLifespan?: TaskLifespan<NoInfer<Services>, TaskServices>;
  /**
   * Readable name, the same for the whole life of the process; 1 to 128 of `A-Z a-z 0-9 . _ -`.
   * @default `WORKER_ID`, else host name, pid and a random part
   */
  readonly id?: string;
  /**
   * Pool that the worker belongs to.
   * @default `MUSTER_POOL`, else none
   */
  readonly pool?: string;
  /**
   * The build of the program, for example a version or a commit: 1 to 128 of `A-Z a-z 0-9 . _ : @ / + -`, the first a letter or a
   * digit. `muster workers` shows it, each attempt keeps it, and a queue can bind its tasks to it.
   * @default `MUSTER_BUILD_ID`, else none
   */
  readonly buildId?: string;
  /**
   * Labels that tasks may require: at most 64.
   * @default none
   */
  readonly labels?: Readonly<Record<string, string>>;
  /**
   * Queues that the worker takes tasks from.
   * @default `["default"]`
   */
  readonly queues?: readonly string[];
  /**
   * Slots: attempts that run at once, 1 to 10,000.
   * @default `WORKER_MAX_CONCURRENCY`, else the largest `max` of an adaptive concurrency in `tasks`, else 1
   */
  readonly concurrency?: number;
  /**
   * Attempts that are assigned ahead of free slots, 0 to 10,000.
   * @default 0
   */
  readonly prefetch?: number;
  /**
   * Most payload bytes of tasks that are assigned and whose handlers have not been called, 1 to 10^12. One task is always
   * assigned, however large.
   * @default an eighth of the memory of the machine or container, at most 64 MiB
   */
  readonly assignmentBytes?: number;
  /**
   * Capacities besides the slots, by name, in whole units of the program's choice: at most 16, each up to 10^12. The
   * handlers that run at once never cost more than that; see `cost` of `Client.submit`.
   * @default none
   *
   * @example
   * ```ts
   * const options: WorkerOptions = { tasks: { train }, concurrency: 4, capacities: { gpu_memory_mb: 24_000 } };
   * ```
   */
  readonly capacities?: Readonly<Record<string, number>>;
  /**
   * When the worker pauses by itself: by processors, memory, the delay of its main loop, or a probe.
   * @default never, and nothing is measured
   */
  readonly backpressure?: Backpressure;
  /**
   * Resources that are loaded from the start. `worker.resources` has the others.
   * @default none
   */
  readonly resources?: readonly string[];
  /**
   * Where the folders of `ctx.scratch()` are, how long they are kept, and how large they may be.
   * @default the variables `WORKER_SCRATCH_*` and `KEEP_SCRATCH_ON_SUCCESS`
   */
  readonly scratch?: ScratchOptions;
  /**
   * What is kept with the task of the lines of `ctx.log`, for `muster logs`: at most 1 MiB of an attempt. `false`: nothing is.
   * @default `WORKER_TASK_LOGS` (`off` or the least level), else lines of level `info` and higher
   *
   * @example
   * ```ts
   * const options: WorkerOptions = {
   *   tasks: { train },
   *   taskLogs: { level: "debug", redactKeys: ["customer"], redactPatterns: [/\b\d{16}\b/] },
   * };
   * ```
   */
  readonly taskLogs?: TaskLogOptions | false;
  /**
   * Store of what `ctx.artifact()` makes: a `FolderStore` of `@muster/worker/storage`, an `S3Store` of `@muster/worker/s3`, or
   * one of your own.
   * @default a folder, when `WORKER_ARTIFACT_DIR` names one; else none, and `ctx.artifact()` throws
   */
  readonly artifacts?: ObjectStore;
  /**
   * How payloads are decoded and results are encoded: compression, encryption, and a store for large ones. The clients that
   * submit and read need the same option.
   * @default none: encoded payloads fail their tasks with `PAYLOAD_CODEC_MISSING`, and results are sent as they are
   */
  readonly payloads?: PayloadOptions;
  /**
   * Runs while the worker connects; the worker takes tasks only once it has returned. A throw ends the worker.
   * @default none
   */
  readonly preflight?: (startup: StartupReporter) => unknown;
  /**
   * Register timeout in seconds: from the start of the process (with `start()`, from the call) to the first Welcome.
   * @default `WORKER_REGISTER_TIMEOUT_S`, else 90
   */
  readonly registerTimeoutS?: number;
  /**
   * Drain timeout in seconds: how long a drain waits for handlers before it aborts them.
   * @default `WORKER_DRAIN_TIMEOUT_S`, else 30
   */
  readonly drainTimeoutS?: number;
  /**
   * Seconds after which an open phase is reported as stuck, by phase name.
   * @default `WORKER_WARN_<PHASE>_S`, else `model_resolve` 30, `model_load` 60, `inference` 60; other phases have no
   * watchdog
   */
  readonly warn?: Readonly<Record<string, number>>;
  /**
   * Classifies the error of a handler; `undefined` leaves it to the default.
   * @default `NonRetryableError` and errors such as `ERR_INVALID_ARG_TYPE` end the task, everything else is retried
   */
  readonly classify?: (error: unknown) => FailureClassification | undefined;
  /**
   * Logger of the worker; a pino logger fits.
   * @default standard output with `run()`, none with `start()`
   */
  readonly logger?: Logger;
  /**
   * Level of the log that `run()` writes: `debug` adds assignments, heartbeats and queue views.
   * @default `WORKER_LOG_LEVEL`, else `info`
   */
  readonly logLevel?: LogLevel;
  /**
   * Address `host:port` of `/livez`, `/readyz` and `/metrics`, which answer while a handler blocks the main loop too.
   * With port 0 the system chooses one, and the log has it (`worker.http.serving`).
   * @default `WORKER_HTTP_ADDR`, else none
   */
  readonly http?: string;
  /**
   * Seconds after which `/livez` fails for a blocked main loop; 0 means never.
   * @default `WORKER_HTTP_BLOCKED_LIMIT_S`, else 3600
   */
  readonly httpBlockedLimitS?: number;
  /**
   * Whether the stack of the main thread is read while its loop is blocked for a second or longer, and sent with the
   * heartbeat: `muster why` then says where it is. A read pauses the thread for some ten milliseconds; it is made once a block,
   * again after 30 seconds, and then ever less often. Also whether the worker answers `muster stack`.
   * @default `WORKER_STACKS`, else true
   */
  readonly stacks?: boolean;
  /**
   * Called when an error ends the worker.
   * @default none
   */
  readonly onFatal?: (fatal: FatalInfo) => void;
}
