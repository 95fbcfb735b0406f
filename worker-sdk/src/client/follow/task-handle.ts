/** The handle of a submitted task. */

import type { Client as ConnectClient } from "@connectrpc/connect";
import { Code } from "@connectrpc/connect";
import type { PlainTask, Task, TaskService } from "@muster/protocol";
import { plainTask } from "@muster/protocol";
import type { Random } from "../../network/backoff.ts";
import { checkKnown } from "../../options/known-options.ts";
import {
  encodeRevoke,
  encodeTaskChanges,
  type RevokeOptions,
  type TaskChanges,
} from "../changes/task-changes.ts";
import { timeoutMsOf } from "../connection/call-limits.ts";
import type { CallOptions, RetryTaskOptions, WaitOptions } from "../connection/call-options.ts";
import { MusterError } from "../errors.ts";
import {
  type ConcurrencyOutcome,
  type KeyConflict,
  NO_SUBMIT,
  type SubmitOutcome,
  type SubmitWarning,
} from "../submit/submit-outcome.ts";
import { followedLogs, keptLogs } from "./task-log-reader.ts";
import { type LogEntry, type LogsOptions, logFilter } from "./task-logs.ts";
import { hasEnded, outputOf } from "./task-result.ts";
import { plainUpdate, type TaskMessages, type TaskUpdate, watchTask } from "./task-watch.ts";
import { WAIT_NAMES, WaitLimit } from "./wait-limit.ts";

/**
 * A submitted task.
 *
 * @example
 * ```ts
 * const task = client.handle("t-1042");
 * for await (const { task: now, outputChunks } of task.watch()) show(now, outputChunks);
 * ```
 */
export class TaskHandle<Output = unknown> {
  /** Public id, for example `t-1042`. */
  readonly id: string;
  /** True when an earlier task holds the unique key, and this is its handle: nothing was changed. */
  readonly duplicate: boolean;
  /** What the submit met when an earlier task held its unique key; unset when it made a new task. */
  readonly conflict: KeyConflict | undefined;
  /** Facts about the submit although the task was accepted, such as `NEVER_FITS`; of a handle by id none. */
  readonly warnings: readonly SubmitWarning[];
  /** What the concurrency keys did at once; unset when they let the task wait. */
  readonly concurrency: ConcurrencyOutcome | undefined;
  readonly #tasks: ConnectClient<typeof TaskService>;
  readonly #random: Random;
  readonly #resultOf: (task: Task) => Output | Promise<Output>;

  /** @internal Use `Client.submit` or `Client.handle`. */
  constructor(
    id: string,
    parts: {
      readonly tasks: ConnectClient<typeof TaskService>;
      readonly random: Random;
      readonly submit?: SubmitOutcome | undefined;
      readonly resultOf?: ((task: Task) => Output | Promise<Output>) | undefined;
    },
  ) {
    const { duplicate, conflict, warnings, concurrency } = parts.submit ?? NO_SUBMIT;
    this.id = id;
    this.duplicate = duplicate;
    this.conflict = conflict;
    this.warnings = warnings;
    this.concurrency = concurrency;
    this.#tasks = parts.tasks;
    this.#random = parts.random;
    this.#resultOf = parts.resultOf ?? outputOf<Output>;
  }

  /**
   * What `JSON.stringify` writes of a handle: `{ "id": "t-1042" }`. `client.handle` takes it back, in any other process.
   *
   * @example
   * ```ts
   * await store.put(JSON.stringify(task));
   * const again = client.handle(JSON.parse(await store.get()));
   * ```
   */
  toJSON(): { id: string } {
    return { id: this.id };
  }

  /**
   * Reads the task as it is now, with its attempts.
   *
   * @throws MusterError `TASK_NOT_FOUND`.
   */
  async get(options: CallOptions = {}): Promise<PlainTask> {
    return this.#one("GetTask", options, (call) => this.#tasks.getTask({ taskId: this.id }, call));
  }

  /**
   * Cancels the task; a running handler is asked to stop.
   *
   * @throws MusterError `TASK_NOT_FOUND`, `TASK_ALREADY_ENDED`.
   */
  async cancel(reason = "", options: CallOptions = {}): Promise<PlainTask> {
    return this.#one("CancelTask", options, (call) =>
      this.#tasks.cancelTask({ taskId: this.id, reason }, call),
    );
  }

  /**
   * Queues an ended task again, a succeeded one too, or starts a scheduled retry now.
   *
   * @throws MusterError `TASK_NOT_FOUND`, `TASK_NOT_RETRYABLE`, `TASK_HELD`, `UNIQUE_KEY_HELD` (by another task), `STEP_NOT_FAILED`,
   *   `DEPENDENCY_FAILED` (a task whose success it waits for has ended otherwise: retry that one first).
   */
  async retry({ afresh = false, step = "", ...options }: RetryTaskOptions = {}): Promise<PlainTask> {
    return this.#one("RetryTask", options, (call) =>
      this.#tasks.retryTask({ taskId: this.id, afresh, step }, call),
    );
  }

  /**
   * Changes the task, which has not ended; what is left out stays.
   *
   * @throws MusterError `TASK_NOT_FOUND`, `TASK_ALREADY_ENDED`, `INVALID_REQUEST`, `TASK_NOT_EDITABLE` (a priority of a task
   *   with a strict order, or a start time of one that is assigned, runs or waits for tasks).
   * @throws OptionsError when a number is not valid.
   *
   * @example
   * ```ts
   * await task.edit({ priority: 10, runTimeoutS: 7_200 }, "urgent");
   * ```
   */
  async edit(changes: TaskChanges, reason = "", options: CallOptions = {}): Promise<PlainTask> {
    const request = { ...encodeTaskChanges(this.id, changes), taskId: this.id, reason };
    return this.#one("UpdateTask", options, (call) => this.#tasks.updateTask(request, call));
  }

  /**
   * Keeps the waiting task from starting until it is released; its queue timeout goes on. A second hold changes nothing.
   *
   * @throws MusterError `TASK_NOT_FOUND`, `TASK_NOT_HOLDABLE` (it is assigned or running), `TASK_ALREADY_ENDED`.
   */
  async hold(reason = "", options: CallOptions = {}): Promise<PlainTask> {
    return this.#one("HoldTask", options, (call) => this.#tasks.holdTask({ taskId: this.id, reason }, call));
  }

  /**
   * Ends the hold of the task: it waits for what it waited for before. Harmless for one that is not held.
   *
   * @throws MusterError `TASK_NOT_FOUND`, `TASK_ALREADY_ENDED`.
   */
  async release(reason = "", options: CallOptions = {}): Promise<PlainTask> {
    return this.#one("ReleaseTask", options, (call) =>
      this.#tasks.releaseTask({ taskId: this.id, reason }, call),
    );
  }

  /**
   * Takes the task, which is assigned or running, from its worker now: the attempt has ended when this resolves, and costs
   * none of the task's attempts. The task waits again, and may be assigned to the same worker at once. The worker is asked to
   * stop the handler, which may go on; its result does not count.
   *
   * @throws MusterError `TASK_NOT_FOUND`, `TASK_NOT_REVOCABLE` (it waits), `TASK_ALREADY_ENDED`, `INVALID_REQUEST`.
   * @throws OptionsError when `delayS` has no wire form.
   *
   * @example
   * ```ts
   * await task.revoke("the worker hangs", { delayS: 600 });
   * ```
   */
  async revoke(reason = "", options: RevokeOptions = {}): Promise<PlainTask> {
    const request = { ...encodeRevoke(this.id, options), reason };
    return this.#one("RevokeTask", options, (call) => this.#tasks.revokeTask(request, call));
  }

  /**
   * Waits until the task has ended and returns the result of its handler: parsed for JSON, bytes for anything else. A
   * handle that a definition made returns what the schema of the result returns; for any other one nothing checks that
   * the result has the type `Output`.
   *
   * @throws TaskFailedError, TaskCancelledError when the task ended so.
   * @throws InvalidResultError when the result does not fit the schema of the definition.
   * @throws PayloadError when the result is encoded and cannot be decoded.
   * @throws MusterError (`TASK_NOT_FOUND`, a refused token, `DeadlineExceeded`, ...).
   * @throws OptionsError when `timeoutS` is out of range.
   */
  async result(options: WaitOptions = {}): Promise<Output> {
    for await (const { task } of this.watchMessages(options)) {
      if (hasEnded(task.state)) return this.#resultOf(task);
    }
    throw new Error(
      `Watching task ${this.id} ended before the task did; this cannot happen, please report it.`,
    );
  }

  /**
   * Yields the task as it is now, then at every change until it has ended; the last update has the output. A stream
   * that drops is resumed with backoff, without a limit unless `timeoutS` sets one, and repeats no output chunk.
   *
   * @throws as `result()` does, except for how the task ended.
   */
  async *watch(options: WaitOptions = {}): AsyncGenerator<TaskUpdate, void, undefined> {
    for await (const update of this.watchMessages(options)) yield plainUpdate(update);
  }

  /**
   * As `watch()`, with the messages of the protocol, for tools that show every field.
   *
   * @throws as `watch()` does.
   */
  async *watchMessages(options: WaitOptions = {}): AsyncGenerator<TaskMessages, void, undefined> {
    checkKnown(`Waiting for task ${this.id}`, options, WAIT_NAMES);
    const limit = new WaitLimit(this.id, options);
    try {
      yield* watchTask(this.#tasks, this.id, { signal: limit.signal, random: this.#random });
    } finally {
      limit.close();
    }
  }

  /**
   * Yields what the handlers of the task logged with `ctx.log`, by attempt; with `follow` also what they log from now on. Lines
   * that are not kept are shown as a gap with their number. A stream that drops is resumed with backoff, and repeats no line.
   *
   * @throws MusterError (`TASK_NOT_FOUND`, a refused token, `DeadlineExceeded`, ...).
   * @throws OptionsError when an option is not valid.
   *
   * @example
   * ```ts
   * for await (const entry of task.logs({ follow: true, minLevel: "warn" })) {
   *   if (entry.kind === "line") console.log(entry.attemptId, entry.message, entry.fields);
   *   else console.log(`${entry.missing} lines are missing`);
   * }
   * ```
   */
  async *logs(options: LogsOptions = {}): AsyncGenerator<LogEntry, void, undefined> {
    const query = { taskId: this.id, filter: logFilter(options) };
    const limit = new WaitLimit(this.id, options);
    const { signal } = limit;
    try {
      if (options.follow) yield* followedLogs(this.#tasks, query, { signal, random: this.#random });
      else yield* keptLogs(this.#tasks, query, signal);
    } finally {
      limit.close();
    }
  }

  async #one(
    name: string,
    { timeoutS, signal }: CallOptions,
    call: (options: { timeoutMs?: number; signal?: AbortSignal }) => Promise<{ task?: Task | undefined }>,
  ): Promise<PlainTask> {
    const timeoutMs = timeoutMsOf(name, timeoutS);
    try {
      const { task } = await call({
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
        ...(signal === undefined ? {} : { signal }),
      });
      if (task === undefined) throw emptyAnswer(`${name} ${this.id}`);
      return plainTask(task);
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    }
  }
}

function emptyAnswer(call: string): MusterError {
  return new MusterError(`${call}: the scheduler answered without a task.`, { code: Code.Internal });
}
