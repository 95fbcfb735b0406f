/** The handle of a submitted task. */
import type { Client as ConnectClient } from "@connectrpc/connect";
import { Code } from "@connectrpc/connect";
import type { OutputChunk, PlainTask, Task, TaskService, TaskStateName } from "@muster/protocol";
import { plainTask, TaskState } from "@muster/protocol";
import { sleep, systemClock } from "../clock.ts";
import type { Random } from "../network/backoff.ts";
import { Backoff } from "../network/backoff.ts";
import { isEncoded } from "../payloads/envelope.ts";
import { notDecodable } from "../payloads/payload-coder.ts";
import { timeoutMsOf } from "./call-limits.ts";
import type { CallOptions, RetryTaskOptions, WaitOptions } from "./call-options.ts";
import { isDropped } from "./dropped.ts";
import { MusterError, TaskCancelledError, TaskFailedError } from "./errors.ts";
import { encodeRevoke, encodeTaskChanges, type RevokeOptions, type TaskChanges } from "./task-changes.ts";
import { type LogEntry, type LogsOptions, logEntry, logFilter } from "./task-logs.ts";

/** Breaks in a row, without an update between them, after which a watch assumes a bug and throws. */
const MAX_UNEXPLAINED = 5;

/** Positions that a scheduler takes: those of the latest attempts. */
const MAX_POSITIONS = 1_000;

type LogFilter = ReturnType<typeof logFilter>;

/** One update of a watch. */
export interface TaskUpdate {
  /** The task as it is now. */
  readonly task: PlainTask;
  /** Output chunks that no earlier update had, in order. */
  readonly outputChunks: readonly TaskOutput[];
}

/** One update of `watchMessages()`. */
export interface TaskMessages {
  /** The task, as it was then. */
  readonly task: Task;
  /** Pieces of streamed output that have come since the last message. */
  readonly outputChunks: readonly OutputChunk[];
}

/** One chunk of the output of an attempt. */
export interface TaskOutput {
  /** The attempt that wrote it, for example `t-1042.1`. */
  readonly attemptId: string;
  /** 1 for the first of the attempt; a gap shows that chunks were lost. */
  readonly sequence: number;
  /** What the handler gave to `ctx.output`. */
  readonly data: Uint8Array;
}

/** A submit whose unique key an earlier task held. */
export interface KeyConflict {
  /** `returned`: nothing was changed. `replaced`: the earlier task waited, and has what this submit asked for. */
  readonly outcome: "returned" | "replaced";
  /** State of the earlier task when the submit was decided. */
  readonly holderState: TaskStateName;
}

/** A fact about an accepted task that its producer should know. */
export interface SubmitWarning {
  /** `NEVER_FITS`: no known worker has the capacities that the task costs. */
  readonly code: string;
  /** One sentence, with what would have to change. */
  readonly message: string;
}

const NO_WARNINGS: readonly SubmitWarning[] = Object.freeze([]);

/** What the concurrency keys of a submit did at once. */
export interface ConcurrencyOutcome {
  /** Set when a key with `cancelNewest` had no place left: the task has ended as cancelled. */
  readonly limitReached:
    | {
        readonly key: string;
        /** The limit in force. */
        readonly limit: number;
        /** Open tasks that had the key, the oldest first; at most 20. */
        readonly taskIds: readonly string[];
      }
    | undefined;
  /** Older tasks that keys with `cancelRunning` cancel. Those that run end when their handlers return. */
  readonly cancelledTaskIds: readonly string[];
}

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
    tasks: ConnectClient<typeof TaskService>,
    id: string,
    duplicate = false,
    random: Random = Math.random,
    conflict?: KeyConflict,
    resultOf: (task: Task) => Output | Promise<Output> = outputOf<Output>,
    warnings: readonly SubmitWarning[] = NO_WARNINGS,
    concurrency?: ConcurrencyOutcome,
  ) {
    this.#tasks = tasks;
    this.id = id;
    this.duplicate = duplicate;
    this.conflict = conflict;
    this.warnings = warnings;
    this.concurrency = concurrency;
    this.#random = random;
    this.#resultOf = resultOf;
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
    for await (const { task, outputChunks } of this.watchMessages(options)) {
      yield {
        task: plainTask(task),
        outputChunks: outputChunks.map(({ attemptId, sequence, data }) => ({
          ...{ attemptId, sequence: Number(sequence), data },
        })),
      };
    }
  }

  /**
   * As `watch()`, with the messages of the protocol, for tools that show every field.
   *
   * @throws as `watch()` does.
   */
  async *watchMessages(options: WaitOptions = {}): AsyncGenerator<TaskMessages, void, undefined> {
    const limit = new WaitLimit(this.id, options);
    try {
      yield* this.#updates(limit);
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
    const filter = logFilter(options);
    const limit = new WaitLimit(this.id, options);
    try {
      if (options.follow) yield* this.#newLogs(filter, limit);
      else yield* this.#keptLogs(filter, limit);
    } finally {
      limit.close();
    }
  }

  async *#keptLogs(filter: LogFilter, { signal }: WaitLimit): AsyncGenerator<LogEntry, void, undefined> {
    for (let pageToken: string | undefined; pageToken !== ""; ) {
      const request = { taskId: this.id, filter, pageSize: 1_000, pageToken: pageToken ?? "" };
      const page = await this.#tasks.listTaskLogs(request, { signal });
      yield* page.records.map(logEntry);
      pageToken = page.nextPageToken;
    }
  }

  async *#newLogs(filter: LogFilter, limit: WaitLimit): AsyncGenerator<LogEntry, void, undefined> {
    const backoff = new Backoff({ baseMs: 200, maxMs: 5000, random: this.#random });
    const seen = new Map<string, bigint>();
    let unexplained = 0;
    for (;;) {
      const after = [...seen].slice(-MAX_POSITIONS).map(([attemptId, sequence]) => ({ attemptId, sequence }));
      try {
        const request = { taskId: this.id, filter, after };
        for await (const { records, positions } of this.#tasks.watchTaskLogs(request, {
          signal: limit.signal,
        })) {
          backoff.reset();
          unexplained = 0;
          yield* records.map(logEntry);
          for (const { attemptId, sequence } of positions) seen.set(attemptId, sequence);
        }
        return;
      } catch (error) {
        limit.signal.throwIfAborted();
        if (!isDropped(error)) throw error;
        if (error.code !== Code.Unavailable) unexplained += 1;
        if (unexplained > MAX_UNEXPLAINED) throw error;
      }
      await sleep(backoff.next(), limit.signal);
    }
  }

  async *#updates(limit: WaitLimit): AsyncGenerator<TaskMessages, void, undefined> {
    const backoff = new Backoff({ baseMs: 200, maxMs: 5000, random: this.#random });
    const seen = new Map<string, bigint>();
    let unexplained = 0;
    for (;;) {
      try {
        for await (const { task, outputChunks } of this.#tasks.watchTask(
          { taskId: this.id },
          { signal: limit.signal },
        )) {
          backoff.reset();
          unexplained = 0;
          if (task === undefined) continue;
          yield { task, outputChunks: unseen(outputChunks, seen) };
          if (hasEnded(task.state)) return;
        }
      } catch (error) {
        limit.signal.throwIfAborted();
        if (!isDropped(error)) throw error;
        if (error.code !== Code.Unavailable) unexplained += 1;
        if (unexplained > MAX_UNEXPLAINED) throw error;
      }
      await sleep(backoff.next(), limit.signal);
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

/** Aborts a wait at its timeout or with its caller's signal. */
class WaitLimit {
  readonly signal: AbortSignal;
  readonly #controller = new AbortController();
  readonly #close: () => void;

  constructor(taskId: string, { timeoutS, signal }: WaitOptions) {
    const timeoutMs = timeoutMsOf(`Waiting for task ${taskId}`, timeoutS);
    this.signal = this.#controller.signal;
    const abort = (): void => this.#controller.abort(signal?.reason);
    if (signal?.aborted) abort();
    signal?.addEventListener("abort", abort, { once: true });
    const cancel =
      timeoutMs === undefined
        ? undefined
        : systemClock.after(timeoutMs, () => this.#controller.abort(notEnded(taskId, timeoutMs / 1000)));
    this.#close = () => {
      cancel?.();
      signal?.removeEventListener("abort", abort);
    };
  }

  close(): void {
    this.#close();
  }
}

/** True for the states of an ended task: `succeeded`, `failed`, `cancelled`. */
export function isEnded(state: TaskStateName): boolean {
  return state === "succeeded" || state === "failed" || state === "cancelled";
}

function hasEnded(state: TaskState): boolean {
  return state === TaskState.SUCCEEDED || state === TaskState.FAILED || state === TaskState.CANCELLED;
}

/**
 * The result of an ended task.
 *
 * @internal
 * @throws TaskFailedError, TaskCancelledError when the task ended so.
 * @throws PayloadError `PAYLOAD_CODEC_MISSING` when the result is encoded: `Client.decode()` decodes it.
 * @throws TypeError when the task has not ended.
 */
export function outputOf<Output>(task: Task): Output {
  switch (task.state) {
    case TaskState.SUCCEEDED:
      return decodeOutput(task) as Output;
    case TaskState.FAILED:
      throw new TaskFailedError(plainTask(task));
    case TaskState.CANCELLED:
      throw new TaskCancelledError(plainTask(task));
    default:
      throw new TypeError(`Task ${task.id} has not ended: its state is ${task.state}.`);
  }
}

function decodeOutput(task: Task): unknown {
  if (isEncoded(task.outputContentType)) throw notDecodable("result");
  const type = task.outputContentType.split(";")[0]?.trim().toLowerCase() ?? "";
  if (type !== "" && type !== "application/json") return task.output;
  if (task.output.byteLength === 0) return null;
  return JSON.parse(new TextDecoder().decode(task.output));
}

function unseen(chunks: readonly OutputChunk[], seen: Map<string, bigint>): OutputChunk[] {
  return chunks.filter((chunk) => {
    if (chunk.sequence <= (seen.get(chunk.attemptId) ?? 0n)) return false;
    seen.set(chunk.attemptId, chunk.sequence);
    return true;
  });
}

function notEnded(taskId: string, timeoutS: number): MusterError {
  return new MusterError(`task ${taskId} has not ended within ${timeoutS} s`, {
    code: Code.DeadlineExceeded,
    remedy: `it goes on; ask \`muster why ${taskId}\``,
  });
}

function emptyAnswer(call: string): MusterError {
  return new MusterError(`${call}: the scheduler answered without a task.`, { code: Code.Internal });
}
