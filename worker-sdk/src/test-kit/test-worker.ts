/** A worker in a test, without a scheduler. */
import { randomBytes } from "node:crypto";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ErrorDeclarations } from "../contract/declared-errors.ts";
import type { Schema, SchemaInput, SchemaOutput } from "../contract/schema.ts";
import type { ContractParts, TaskContract } from "../contract/task-contract.ts";
import type { ChildAnswers } from "../local/local-children.ts";
import type { LocalRun } from "../local/local-run.ts";
import type { LocalTaskOptions } from "../local/local-task.ts";
import type { LocalWorker } from "../local/local-worker.ts";
import { LOCAL } from "../local/parts.ts";
import type { RunOutcome } from "../local/run-record.ts";
import type { Logger } from "../logging/logger.ts";
import type { WorkerOptions } from "../options/worker-options.ts";
import { Worker } from "../worker.ts";
import { type LogRecord, recordingLogger } from "./log-record.ts";
import { VirtualClock } from "./virtual-clock.ts";

/** Options of `testWorker()`. */
export interface TestWorkerOptions {
  /** Also gets the lines of the log. @default none: `TestWorker.log` has them */
  readonly logger?: Logger;
  /**
   * True runs isolated handlers in processes of their own, as a worker does; their time is real. Their worker must be made by a module
   * that `isolate: { module }` names: the entry file is the test. False runs them in the test's process.
   * @default false
   */
  readonly isolate?: boolean;
  /**
   * Answers for tasks that handlers run as children (`ctx.run`) and that the worker has no handler for, by type. What an answer
   * throws fails the child; children of other types run in the worker itself.
   * @default none: `ctx.run` throws for such a type
   */
  readonly children?: ChildAnswers;
}

/** The limit of a type whose concurrency adapts. */
export interface AdaptedLimit {
  /** Attempts of the type that may run at once now. */
  readonly limit: number;
  /** Why it changed last; empty when it has not. */
  readonly reason: string;
}

/** Any worker: what its handlers get is checked where they are written. */
type AnyWorker = Pick<Worker, "id" | "status" | "closed">;

/** Any options of a worker. */
// biome-ignore lint/suspicious/noExplicitAny: handlers of any types; with `unknown` a typed handler would not fit.
type AnyOptions = WorkerOptions<any, any, any>;

/**
 * Sets a worker up for tests, without a scheduler: `lifespan`, then `preflight`. Handlers run as in a started worker:
 * schemas, middleware, phases, timeouts, slots, scratch folders and outcomes are those of the worker itself. Time is virtual.
 *
 * @param worker A worker that has not started, or its options. A worker may be used for any number of tests, also at once; one
 * with batch handlers for one test after the other.
 * @throws OptionsError when the options are not valid or there is no task type.
 * @throws LifespanError, PreflightError when one of them throws.
 *
 * @example
 * ```ts
 * await using worker = await testWorker({ tasks: { greet: (ctx) => `Hello, ${ctx.payload.name}!` } });
 * const { output } = await worker.run("greet", { name: "Ada" });
 * assert.equal(output, "Hello, Ada!");
 * ```
 */
export async function testWorker(
  worker: AnyWorker | AnyOptions,
  options: TestWorkerOptions = {},
): Promise<TestWorker> {
  const records: LogRecord[] = [];
  const clock = new VirtualClock();
  const scratch = join(tmpdir(), `muster-test-${randomBytes(6).toString("hex")}`);
  const given = LOCAL in worker ? (worker as Worker) : new Worker(worker as AnyOptions);
  const local = await given[LOCAL]().open({
    log: recordingLogger(records, options.logger),
    clock: clock.clock,
    scratchFolder: scratch,
    isolate: options.isolate ?? false,
    ...(options.children === undefined ? {} : { children: options.children }),
  });
  return new TestWorker(local, { clock, log: records, scratch });
}

/**
 * Runs a task once: `testWorker()`, `TestWorker.run()`, `TestWorker.stop()`.
 *
 * @throws as these do.
 *
 * @example
 * ```ts
 * const { state, failure } = await runTask(worker, resize, { url: "no url", width: 320 });
 * assert.equal(failure?.code, "INVALID_PAYLOAD");
 * ```
 */
export async function runTask<I extends Schema, O extends Schema, E extends ErrorDeclarations>(
  worker: AnyWorker | AnyOptions,
  task: TaskContract<I, O, E>,
  input: SchemaInput<I>,
  options?: LocalTaskOptions & Pick<TestWorkerOptions, "isolate">,
): Promise<RunOutcome<SchemaOutput<O>>>;
export async function runTask<Output = unknown>(
  worker: AnyWorker | AnyOptions,
  type: string,
  input?: unknown,
  options?: LocalTaskOptions & Pick<TestWorkerOptions, "isolate">,
): Promise<RunOutcome<Output>>;
export async function runTask(
  worker: AnyWorker | AnyOptions,
  task: string | ContractParts,
  input?: unknown,
  options: LocalTaskOptions & Pick<TestWorkerOptions, "isolate"> = {},
): Promise<RunOutcome> {
  const { isolate = false, ...others } = options;
  await using bench = await testWorker(worker, { isolate });
  return await bench.run(typeName(task), input, others);
}

/** A worker that runs tasks for a test. `testWorker()` makes it. */
export class TestWorker implements AsyncDisposable {
  /** The clock of its attempts. */
  readonly clock: VirtualClock;
  /** Lines of its log so far, those of handlers among them. */
  readonly log: readonly LogRecord[];
  readonly #local: LocalWorker;
  readonly #scratch: string;

  /** @internal */
  constructor(
    local: LocalWorker,
    parts: { readonly clock: VirtualClock; readonly log: readonly LogRecord[]; readonly scratch: string },
  ) {
    this.#local = local;
    this.clock = parts.clock;
    this.log = parts.log;
    this.#scratch = parts.scratch;
  }

  /**
   * Starts a task. Its handler is called before this returns when a slot is free, no resource has to be loaded, the payload
   * needs no asynchronous check and no other handler was called in this turn of the loop; otherwise soon after.
   *
   * @throws Error when the worker has no handler for the type.
   * @throws TypeError, RangeError when the input or an option is not valid.
   * @throws WorkerStoppedError after `stop()`.
   */
  start<I extends Schema, O extends Schema, E extends ErrorDeclarations>(
    task: TaskContract<I, O, E>,
    input: SchemaInput<I>,
    options?: LocalTaskOptions,
  ): LocalRun<SchemaOutput<O>>;
  start<Output = unknown>(type: string, input?: unknown, options?: LocalTaskOptions): LocalRun<Output>;
  start(task: string | ContractParts, input?: unknown, options?: LocalTaskOptions): LocalRun {
    return this.#local.start(typeName(task), input, options);
  }

  /** Runs a task to its end. @throws as `start` does; Error when the worker refuses the attempt. */
  run<I extends Schema, O extends Schema, E extends ErrorDeclarations>(
    task: TaskContract<I, O, E>,
    input: SchemaInput<I>,
    options?: LocalTaskOptions,
  ): Promise<RunOutcome<SchemaOutput<O>>>;
  run<Output = unknown>(
    type: string,
    input?: unknown,
    options?: LocalTaskOptions,
  ): Promise<RunOutcome<Output>>;
  async run(task: string | ContractParts, input?: unknown, options?: LocalTaskOptions): Promise<RunOutcome> {
    return await this.#local.start(typeName(task), input, options).ended;
  }

  /**
   * The limit of a type whose concurrency adapts: how many of its attempts may run at once now, and why that changed last;
   * undefined for another type. It adapts by the clock of the test.
   */
  limitOf(task: string | { readonly type: string }): AdaptedLimit | undefined {
    const report = this.#local.limitOf(typeof task === "string" ? task : task.type);
    return report && { limit: report.limit, reason: report.reason };
  }

  /**
   * Aborts handlers that still run and waits for them, at most 5 s of real time; tears down what `lifespan` set up, and
   * removes the scratch folders, those of failed attempts as well.
   */
  async stop(): Promise<void> {
    await this.#local.close();
    await rm(this.#scratch, { recursive: true, force: true });
  }

  /** For `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

function typeName(task: string | ContractParts): string {
  return typeof task === "string" ? task : task.type;
}
