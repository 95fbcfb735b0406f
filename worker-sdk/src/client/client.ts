import type { Client as ConnectClient } from "@connectrpc/connect";
import { Code, createClient } from "@connectrpc/connect";
import type { SubmittedTask, Task, TaskSpec } from "@muster/protocol";
import { FleetService, TaskService, WorkerService } from "@muster/protocol";
import type { Random } from "../network/backoff.ts";
import type { ConnectionOptions } from "../options/connection-options.ts";
import { processEnvironment, resolveConnection } from "../options/connection-options.ts";
import { numberSetting } from "../options/option-checks.ts";
import { OptionsError } from "../options/options-error.ts";
import { isTracing } from "../tracing/provider.ts";
import { type CallLimits, limited, MAX_TIMEOUT_S, timeoutMsOf } from "./call-limits.ts";
import { MusterError } from "./errors.ts";
import { SubmitQueue } from "./submit-queue.ts";
import { Submitter } from "./submitter.ts";
import type { CallOptions } from "./task-handle.ts";
import { TaskHandle } from "./task-handle.ts";
import type { SubmitOptions, SubmitSpec } from "./task-spec.ts";
import { encodeTaskSpec } from "./task-spec.ts";
import type { FailoverTransport } from "./transport.ts";
import { createFailoverTransport } from "./transport.ts";
import { noAnswer } from "./unreachable.ts";

export type { CallOptions } from "./task-handle.ts";

/** How long a call with one answer may take by default: a scheduler that is well needs milliseconds. */
const DEFAULT_TIMEOUT_S = 30;

/** Options of `Client`. */
export interface ClientOptions extends ConnectionOptions {
  /**
   * Longest wait in seconds for a call with one answer (submits, gets, lists, cancels, everything of `tasks` and
   * `fleet`), unless the call says otherwise; default 30. Watches and `result()` have no such limit: they last as
   * long as the task, and a connection that no longer answers is noticed within 30 s and dialled again.
   */
  readonly timeoutS?: number;
  /** Spreads the waits before a dropped watch is taken up again; default `Math.random`. */
  readonly random?: Random;
}

/**
 * Submits tasks and follows them. A client holds a connection, and from its second submit on another one for submits;
 * share it, and close it at the end: an open one keeps the process alive.
 */
export class Client {
  /** Every call of TaskService; refusals are thrown as MusterError. */
  readonly tasks: ConnectClient<typeof TaskService>;
  /** Every call of FleetService; refusals are thrown as MusterError. */
  readonly fleet: ConnectClient<typeof FleetService>;
  /** The calls for supervisors of worker processes; refusals are thrown as MusterError. */
  readonly supervision: Pick<ConnectClient<typeof WorkerService>, "reportLaunch" | "reportExit">;
  /** Addresses in use, `host:port`. */
  readonly addresses: readonly string[];
  readonly #transport: FailoverTransport;
  readonly #submitter: Submitter;
  readonly #random: Random;
  readonly #timeoutMs: number;
  readonly #queue = new SubmitQueue((tasks, timeoutMs) =>
    this.#submitTasks(tasks, { timeoutMs, signal: undefined }),
  );

  /**
   * Reads options and environment; dials at the first call.
   * @throws OptionsError with every fault of the options.
   */
  constructor(options: ClientOptions = {}) {
    const faults: string[] = [];
    const connection = resolveConnection(options, processEnvironment, faults);
    const timeoutS = numberSetting(
      { option: ["timeoutS", options.timeoutS], default: DEFAULT_TIMEOUT_S },
      { min: 0.001, max: MAX_TIMEOUT_S },
      processEnvironment,
      faults,
    );
    if (faults.length > 0) throw new OptionsError("Client", faults);
    this.addresses = connection.addresses;
    this.#random = options.random ?? Math.random;
    this.#timeoutMs = timeoutS * 1000;
    this.#transport = createFailoverTransport(connection, this.#timeoutMs);
    this.tasks = createClient(TaskService, this.#transport);
    this.fleet = createClient(FleetService, this.#transport);
    this.supervision = createClient(WorkerService, this.#transport);
    this.#submitter = new Submitter(connection, this.#transport, this.tasks);
  }

  /**
   * Submits one task: when this returns, it is durable. Tasks that are submitted while others are on their way
   * share a call, and are accepted or refused each by itself.
   * A submit that is given up, by its deadline or its signal, may have been accepted: give a `uniqueKey` to submit
   * again without running twice.
   * @throws MusterError (`INVALID_TASK`, `PAYLOAD_TOO_LARGE`, `DATABASE_UNAVAILABLE`, ...), OptionsError when a number of
   * the options is not valid, TypeError when the payload has no JSON form, the signal's reason when it aborts.
   */
  async submit<Output = unknown>(
    type: string,
    payload?: unknown,
    options: SubmitOptions & CallOptions = {},
  ): Promise<TaskHandle<Output>> {
    const spec = encodeTaskSpec({ ...options, type, payload });
    const limits = this.#limits(options);
    // Under a tracer every submit is a span and a call of its own.
    const submitted = isTracing()
      ? (await this.#submitTasks([spec], limits))[0]
      : await this.#queued(spec, limits);
    if (submitted === undefined)
      throw new MusterError(`SubmitTasks: no answer for ${type}.`, { code: Code.Internal });
    return this.#handleOf<Output>(submitted);
  }

  /**
   * Submits 1 to 10,000 tasks in one transaction, all or none; handles in the same order.
   * @throws as `submit`.
   */
  async submitMany<Output = unknown>(
    specs: readonly SubmitSpec[],
    options: CallOptions = {},
  ): Promise<TaskHandle<Output>[]> {
    const submitted = await this.#submitTasks(specs.map(encodeTaskSpec), this.#limits(options));
    return submitted.map((task) => this.#handleOf<Output>(task));
  }

  /** A handle for a task that was submitted earlier; asks nothing. */
  handle<Output = unknown>(taskId: string): TaskHandle<Output> {
    return new TaskHandle<Output>(this.tasks, taskId, false, this.#random);
  }

  /** The task as it is now, with payload, output and attempts. @throws MusterError `TASK_NOT_FOUND`. */
  get(taskId: string, options: CallOptions = {}): Promise<Task> {
    return this.handle(taskId).get(options);
  }

  /** Ends the connection; calls in flight fail with `CLIENT_CLOSED`, and so do later ones. Closing twice is harmless. */
  close(): void {
    this.#submitter.close();
    this.#transport.close();
  }

  /** Over a call that others may share, so that its limits are its own. */
  async #queued(spec: TaskSpec, limits: CallLimits): Promise<SubmittedTask> {
    const givenUp = { yes: limits.signal?.aborted === true };
    const submitted = this.#queue.submit(spec, limits.timeoutMs, givenUp);
    const late = () => noAnswer("SubmitTasks", this.addresses.join(", "), limits.timeoutMs);
    try {
      return await limited(limits, submitted, late);
    } catch (error) {
      givenUp.yes = true;
      throw error;
    }
  }

  #limits({ timeoutS, signal }: CallOptions): CallLimits {
    return { timeoutMs: timeoutMsOf("submit", timeoutS) ?? this.#timeoutMs, signal };
  }

  async #submitTasks(tasks: TaskSpec[], limits: CallLimits): Promise<readonly SubmittedTask[]> {
    const submitted = await this.#submitter.submit(tasks, limits);
    if (submitted.length !== tasks.length) {
      throw new MusterError(`SubmitTasks: ${submitted.length} answers for ${tasks.length} tasks.`, {
        code: Code.Internal,
      });
    }
    return submitted;
  }

  #handleOf<Output>({ taskId, duplicate }: SubmittedTask): TaskHandle<Output> {
    return new TaskHandle<Output>(this.tasks, taskId, duplicate, this.#random);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
