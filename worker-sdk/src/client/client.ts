/** The client: submits tasks and follows them. */

import type { Client as ConnectClient } from "@connectrpc/connect";
import { Code, createClient } from "@connectrpc/connect";
import type {
  Batch,
  GetFailureStatisticsResponse,
  GetMetricStatisticsResponse,
  Plain,
  PlainTask,
  SubmittedTask,
} from "@muster/protocol";
import {
  ErrorReason,
  FleetService,
  GetFailureStatisticsResponseSchema,
  GetMetricStatisticsResponseSchema,
  LauncherService,
  PoolService,
  plain,
  ScheduleService,
  TaskService,
  WorkerService,
} from "@muster/protocol";
import type { ErrorDeclarations } from "../contract/declared-errors.ts";
import type { Schema, SchemaInput, SchemaOutput } from "../contract/schema.ts";
import type { ContractParts, InputArguments, TaskContract } from "../contract/task-contract.ts";
import type { Random } from "../network/backoff.ts";
import { checkKnown } from "../options/known-options.ts";
import { BATCH_NAMES, BatchHandle, type BatchOptions } from "./batch-handle.ts";
import {
  type BulkChange,
  type BulkChangeOptions,
  type BulkFilter,
  type BulkProgress,
  changeTasks,
  encodeChange,
} from "./changes/bulk-changes.ts";
import { type ClientOptions, resolveClient } from "./client-options.ts";
import { type CallLimits, timeoutMsOf } from "./connection/call-limits.ts";
import type { BatchFilter, CallOptions, FindOptions, SubmitCallOptions } from "./connection/call-options.ts";
import type { FailoverTransport } from "./connection/transport.ts";
import { createFailoverTransport } from "./connection/transport.ts";
import { MusterError } from "./errors.ts";
import { resultReader } from "./follow/result-reader.ts";
import { idOf, type StoredHandle } from "./follow/stored-handle.ts";
import { TaskHandle } from "./follow/task-handle.ts";
import { listBatches, listChildren } from "./listings.ts";
import { Schedules } from "./schedules/schedules.ts";
import { encodeFailureOptions, type FailureOptions } from "./statistics/failures.ts";
import { encodeMetricOptions, type MetricOptions } from "./statistics/metric-options.ts";
import { type ClientPayloads, decodeTask } from "./submit/client-payloads.ts";
import { specsOf } from "./submit/contract-calls.ts";
import { outcomeOf } from "./submit/submit-outcome.ts";
import type { SubmitOptions, SubmitSpec } from "./submit/submit-spec.ts";
import { Submitter } from "./submit/submitter.ts";
import { encodeTaskSpec } from "./submit/task-spec.ts";
import { TaskSubmits } from "./submit/task-submits.ts";

/**
 * Submits tasks and follows them. A client holds a connection, and from its second submit on another one for submits.
 * Share it, and close it at the end: an open one keeps the process alive.
 *
 * @example
 * ```ts
 * import { Client } from "@muster/worker/client";
 *
 * using client = new Client();
 * const task = await client.submit<{ text: string }>("greet", { name: "Ada" });
 * const { text } = await task.result({ timeoutS: 60 });
 * ```
 */
export class Client {
  /** Every call of TaskService; errors are thrown as MusterError. */
  readonly tasks: ConnectClient<typeof TaskService>;
  /** Every call of FleetService; errors are thrown as MusterError. */
  readonly fleet: ConnectClient<typeof FleetService>;
  /** Tasks that are submitted again and again. */
  readonly schedules: Schedules;
  /** Every call of PoolService: workers that start by themselves; errors are thrown as MusterError. */
  readonly pools: ConnectClient<typeof PoolService>;
  /** The stream of launchers, which start the workers of pools; errors are thrown as MusterError. */
  readonly launcher: ConnectClient<typeof LauncherService>;
  /** Calls for supervisors of worker processes; errors are thrown as MusterError. */
  readonly supervision: Pick<ConnectClient<typeof WorkerService>, "reportLaunch" | "reportExit">;
  /** Addresses in use, `host:port`. */
  readonly addresses: readonly string[];
  readonly #transport: FailoverTransport;
  readonly #submitter: Submitter;
  readonly #random: Random;
  readonly #timeoutMs: number;
  /** Undefined without the option `payloads`. */
  readonly #payloads: ClientPayloads | undefined;
  readonly #submits: TaskSubmits;

  /**
   * Reads options and environment; dials at the first call.
   * @throws OptionsError with every fault of the options.
   */
  constructor(options: ClientOptions = {}) {
    const { connection, payloads, random, timeoutMs } = resolveClient(options);
    this.#payloads = payloads;
    this.addresses = connection.addresses;
    this.#random = random;
    this.#timeoutMs = timeoutMs;
    this.#transport = createFailoverTransport(connection, this.#timeoutMs);
    this.tasks = createClient(TaskService, this.#transport);
    this.fleet = createClient(FleetService, this.#transport);
    this.schedules = new Schedules(
      createClient(ScheduleService, this.#transport),
      ({ timeoutS, signal }) => ({
        timeoutMs: timeoutMsOf("schedules", timeoutS) ?? this.#timeoutMs,
        ...(signal ? { signal } : {}),
      }),
      this.#payloads,
    );
    this.pools = createClient(PoolService, this.#transport);
    this.launcher = createClient(LauncherService, this.#transport);
    this.supervision = createClient(WorkerService, this.#transport);
    this.#submitter = new Submitter(connection, this.#transport, this.tasks);
    this.#submits = new TaskSubmits({
      ...{ submitter: this.#submitter, payloads, addresses: this.addresses },
    });
  }

  /**
   * Submits one task; it is durable once this resolves. Submits that are made while others are in flight share a call;
   * each is accepted or refused by itself. A submit that times out or is aborted may have been accepted: with a
   * `uniqueKey` it can be repeated without a second run.
   *
   * A definition (`defineTask({ type, ... })`) in place of the type checks the input, applies its defaults where no option
   * is given, and gives a handle whose result has its type.
   *
   * @throws MusterError when the scheduler refuses it (`INVALID_TASK`, `PAYLOAD_TOO_LARGE`, `UNIQUE_KEY_HELD`,
   * `QUEUE_FULL`, `DATABASE_UNAVAILABLE`, ...) or does not answer in time.
   * @throws InvalidPayloadError when the input does not fit the schema of the definition.
   * @throws OptionsError when a number of the options is not valid.
   * @throws TypeError when the payload has no JSON form, or options exclude each other.
   * @throws the reason of the signal when it aborts.
   *
   * @example
   * ```ts
   * const task = await client.submit(resize, { url, width: 320 }, { priority: 10 });
   * ```
   */
  submit<Output = unknown>(
    type: string,
    payload?: unknown,
    options?: SubmitOptions & SubmitCallOptions,
  ): Promise<TaskHandle<Output>>;
  submit<I extends Schema, O extends Schema, E extends ErrorDeclarations>(
    task: TaskContract<I, O, E>,
    ...args: InputArguments<SchemaInput<I>, SubmitOptions & SubmitCallOptions>
  ): Promise<TaskHandle<SchemaOutput<O>>>;
  async submit(
    task: string | ContractParts,
    payload?: unknown,
    options: SubmitOptions & SubmitCallOptions = {},
  ): Promise<TaskHandle<unknown>> {
    const named = typeof task === "string";
    const asked = named ? { ...options, type: task, payload } : await this.#oneOf(task, payload, options);
    const submitted = await this.#submits.one(encodeTaskSpec(asked), this.#limits(options), options);
    return this.#handleOf(submitted, named ? undefined : task);
  }

  /**
   * Submits 1 to 10,000 tasks in one transaction, all or none; returns their handles in the same order. With a
   * definition, one task for each input; the options apply to each of them.
   *
   * @throws as `submit` does.
   *
   * @example
   * ```ts
   * await client.submitMany(pages.map((page) => ({ type: "ocr.page", payload: { page } })));
   * await client.submitMany(resize, urls.map((url) => ({ url, width: 320 })));
   * ```
   */
  submitMany<Output = unknown>(
    specs: readonly SubmitSpec[],
    options?: SubmitCallOptions,
  ): Promise<TaskHandle<Output>[]>;
  submitMany<I extends Schema, O extends Schema, E extends ErrorDeclarations>(
    task: TaskContract<I, O, E>,
    inputs: readonly SchemaInput<I>[],
    options?: SubmitOptions & SubmitCallOptions,
  ): Promise<TaskHandle<SchemaOutput<O>>[]>;
  async submitMany(
    what: ContractParts | readonly SubmitSpec[],
    second: readonly unknown[] | SubmitCallOptions = {},
    third: SubmitOptions & SubmitCallOptions = {},
  ): Promise<TaskHandle<unknown>[]> {
    const task = isList(what) ? undefined : what;
    const options = isList(second) ? third : second;
    const specs = isList(what) ? what : await specsOf(what, second, third);
    const submitted = await this.#submits.many(specs.map(encodeTaskSpec), this.#limits(options), options);
    return submitted.map((each) => this.#handleOf(each, task));
  }

  /**
   * Creates a batch: a set of tasks with counts, one cancel, and a completion task. Submit its members with the handle, or
   * with the option `batchId`, then close it.
   *
   * @example
   * ```ts
   * const batch = await client.batch({ title: "book 7", completion: { type: "book.merge" } });
   * ```
   */
  async batch(options: BatchOptions = {}): Promise<BatchHandle> {
    checkKnown("batch", options, BATCH_NAMES);
    const { title = "", completion } = options;
    const call = this.#call(options);
    const specs = completion ? [encodeTaskSpec(completion)] : [];
    const create = () =>
      this.tasks.createBatch({ title, ...(specs[0] ? { completion: specs[0] } : {}) }, call);
    const { batch } = await (this.#payloads?.around(specs, options.signal, create) ?? create());
    if (batch === undefined)
      throw new MusterError("CreateBatch: no batch was sent.", { code: Code.Internal });
    return this.#batchOf(batch.id, batch.completionTaskId);
  }

  /** Returns a handle for a batch that was created earlier. @throws MusterError `BATCH_NOT_FOUND`. */
  async batchHandle(batchId: string, options: CallOptions = {}): Promise<BatchHandle> {
    const { batch } = await this.tasks.getBatch({ batchId }, this.#call(options));
    return this.#batchOf(batchId, batch?.completionTaskId ?? "");
  }

  /**
   * Reads batches, newest first, with the states of their members; of more than 10,000 members the states are not counted.
   *
   * @example
   * ```ts
   * for await (const { id, title, counts } of client.batches({ open: true })) console.log(id, title, counts?.failedCount);
   * ```
   */
  async *batches({ open = false, title = "", ...options }: BatchFilter = {}): AsyncGenerator<Plain<Batch>> {
    yield* listBatches(this.tasks, { open, title }, this.#call(options));
  }

  #batchOf(id: string, completionTaskId: string): BatchHandle {
    return new BatchHandle(id, {
      completion: completionTaskId === "" ? undefined : this.handle(completionTaskId),
      tasks: this.tasks,
      submit: (specs, options) => this.submitMany(specs, options),
      timeoutMs: this.#timeoutMs,
    });
  }

  /**
   * Cancels, retries, moves, reprioritises or deletes the tasks that a filter lets through, in steps. It works for as long
   * as its progress is iterated; to leave the loop stops it after the step that is under way, and what was done stays. A
   * call that breaks after its first answer is continued.
   *
   * @throws MusterError `INVALID_REQUEST` for a filter without a condition where `all` is not set, `QUEUE_NOT_FOUND`,
   * `BATCH_NOT_FOUND`.
   * @throws OptionsError when an age is not a number of seconds in range.
   *
   * @example
   * ```ts
   * for await (const { done, skipped } of client.changeTasks("cancel", { queues: ["nightly"], states: ["queued"] }))
   *   console.log(`${done} cancelled`, skipped);
   * ```
   */
  changeTasks(
    change: BulkChange,
    filter: BulkFilter,
    options: BulkChangeOptions = {},
  ): AsyncGenerator<BulkProgress, void, undefined> {
    const request = encodeChange(change, filter, options);
    return changeTasks(this.tasks, request, { signal: options.signal, random: this.#random });
  }

  /**
   * Returns a handle for a task that was submitted earlier, without a call. A definition gives its result a type.
   *
   * @param taskId Its id, or a handle as `JSON.stringify` wrote it.
   * @throws TypeError when it is neither.
   */
  handle<Output = unknown>(taskId: string | StoredHandle): TaskHandle<Output>;
  handle<I extends Schema, O extends Schema, E extends ErrorDeclarations>(
    taskId: string | StoredHandle,
    task: TaskContract<I, O, E>,
  ): TaskHandle<SchemaOutput<O>>;
  handle(taskId: string | StoredHandle, task?: ContractParts): TaskHandle<unknown> {
    const id = idOf(taskId);
    const resultOf = resultReader(task, this.#payloads);
    return new TaskHandle(id, { tasks: this.tasks, random: this.#random, resultOf });
  }

  /**
   * Finds the task that a unique key belongs to, whether it still holds the key or not; undefined when there is none.
   *
   * @example
   * ```ts
   * const task = await client.find("order-17");
   * if (task) console.log((await task.get()).state);
   * ```
   */
  async find<Output = unknown>(
    uniqueKey: string,
    { queue = "", ...options }: FindOptions = {},
  ): Promise<TaskHandle<Output> | undefined> {
    const call = this.#call(options);
    try {
      const { task } = await this.tasks.getTask({ uniqueKey: { queue, key: uniqueKey } }, call);
      return task && this.handle<Output>(task.id);
    } catch (error) {
      if (error instanceof MusterError && error.reason === ErrorReason.TASK_NOT_FOUND) return undefined;
      throw error;
    }
  }

  /**
   * Lists the children of a task, the newest first, as lists show them: without payload, result and attempts.
   *
   * @example
   * ```ts
   * for await (const { id, state } of client.children("t-1042")) console.log(id, state);
   * ```
   */
  async *children(taskId: string, options: CallOptions = {}): AsyncGenerator<PlainTask> {
    yield* listChildren(this.tasks, taskId, this.#call(options));
  }

  /**
   * Reads a task as it is now, with payload, output and attempts.
   *
   * @throws MusterError `TASK_NOT_FOUND`.
   */
  get(taskId: string, options: CallOptions = {}): Promise<PlainTask> {
    return this.handle(taskId).get(options);
  }

  /**
   * Decodes the payload and the result of a task that `get()` or `watch()` returned, where they are encoded. Returns a copy.
   *
   * @throws PayloadError, for example `PAYLOAD_CODEC_MISSING` without the option `payloads`.
   *
   * @example
   * ```ts
   * const { payload, result } = await client.decode(await client.get("t-1042"));
   * console.log(payload.json, result?.json);
   * ```
   */
  decode(task: PlainTask, { signal }: Pick<CallOptions, "signal"> = {}): Promise<PlainTask> {
    return decodeTask(task, this.#payloads, signal);
  }

  /**
   * Counts the attempts and the tasks that failed within a window, by cause and code, each with the latest example, and
   * the success rate.
   *
   * @throws MusterError when the scheduler refuses it (`INVALID_REQUEST`) or does not answer in time.
   * @throws OptionsError when `sinceS` is no number of seconds.
   *
   * @example
   * ```ts
   * const { attempts } = await client.failures({ sinceS: 7_200 });
   * for (const { code, failedCount, exampleTaskId } of attempts?.groups ?? [])
   *   console.log(`${failedCount} of ${attempts?.failedCount} ${code}, the last one in ${exampleTaskId}`);
   * ```
   */
  async failures(options: FailureOptions = {}): Promise<Plain<GetFailureStatisticsResponse>> {
    const counts = await this.fleet.getFailureStatistics(encodeFailureOptions(options), this.#call(options));
    return plain(GetFailureStatisticsResponseSchema, counts);
  }

  /**
   * Sums what handlers measured with `ctx.metric()` within a window, by queue, type and name; attempts that failed, were
   * cancelled or lost are included. The window begins with a whole minute.
   *
   * @throws MusterError when the scheduler refuses it (`INVALID_REQUEST`) or does not answer in time.
   * @throws OptionsError when `sinceS` is no number of seconds.
   *
   * @example
   * ```ts
   * const { totals } = await client.metrics({ sinceS: 86_400, type: "llm.chat" });
   * for (const { name, sum, attemptCount } of totals) console.log(`${name}: ${sum} in ${attemptCount} attempts`);
   * ```
   */
  async metrics(options: MetricOptions = {}): Promise<Plain<GetMetricStatisticsResponse>> {
    const totals = await this.fleet.getMetricStatistics(encodeMetricOptions(options), this.#call(options));
    return plain(GetMetricStatisticsResponseSchema, totals);
  }

  /** Closes the connections; calls in flight and later ones fail with `CLIENT_CLOSED`. A second call does nothing. */
  close(): void {
    this.#submitter.close();
    this.#transport.close();
  }

  async #oneOf(task: ContractParts, input: unknown, options: SubmitOptions): Promise<SubmitSpec> {
    const [spec] = await specsOf(task, [input], options);
    if (spec === undefined) throw new RangeError(`Task ${task.type}: no task was made for its input.`);
    return spec;
  }

  #limits({ timeoutS, signal }: CallOptions): CallLimits {
    return { timeoutMs: timeoutMsOf("submit", timeoutS) ?? this.#timeoutMs, signal };
  }

  #call(options: CallOptions): { readonly timeoutMs: number; readonly signal?: AbortSignal } {
    const { timeoutMs, signal } = this.#limits(options);
    return { timeoutMs, ...(signal ? { signal } : {}) };
  }

  #handleOf(submitted: SubmittedTask, task: ContractParts | undefined): TaskHandle<unknown> {
    return new TaskHandle(submitted.taskId, {
      ...{ tasks: this.tasks, random: this.#random, resultOf: resultReader(task, this.#payloads) },
      submit: outcomeOf(submitted),
    });
  }

  /** Closes the client, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}

function isList<T>(value: readonly T[] | object): value is readonly T[] {
  return Array.isArray(value);
}
