/** The handle of a batch. */

import type { Client as ConnectClient } from "@connectrpc/connect";
import { Code } from "@connectrpc/connect";
import {
  type Batch,
  BatchSchema,
  type LinkedTask,
  LinkedTaskSchema,
  type Plain,
  plain,
  type TaskService,
} from "@muster/protocol";
import { sleep } from "../clock.ts";
import type { OptionNames } from "../options/known-options.ts";
import { timeoutMsOf } from "./connection/call-limits.ts";
import type { CallOptions, WaitOptions } from "./connection/call-options.ts";
import { MusterError } from "./errors.ts";
import type { TaskHandle } from "./follow/task-handle.ts";
import type { SubmitSpec } from "./submit/submit-spec.ts";

/** A wait looks at the batch this often, milliseconds. */
const LOOK_EVERY_MS = 500;

/** Members of one page. */
const PAGE = 1_000;

/** Options of `Client.batch`. */
export interface BatchOptions extends CallOptions {
  /** What it is for, up to 256 characters. @default none */
  readonly title?: string;
  /**
   * A task that starts when the batch is closed and all members have ended, however they ended. It has no unique key,
   * dependencies or batch. @default none
   */
  readonly completion?: SubmitSpec;
}

/** Names of the options of `Client.batch`. */
export const BATCH_NAMES: OptionNames<BatchOptions> = {
  title: true,
  completion: true,
  timeoutS: true,
  signal: true,
};

/**
 * A set of tasks with counts, one cancel, and a completion task.
 *
 * @example
 * ```ts
 * const batch = await client.batch({ completion: { type: "book.merge" } });
 * await batch.submitMany(pages.map((page) => ({ type: "ocr.page", payload: { page } })));
 * await batch.close();
 * const { counts } = await batch.wait();
 * ```
 */
export class BatchHandle {
  /** For example `b-1042`. */
  readonly id: string;
  /** The completion task; undefined when it has none. */
  readonly completion: TaskHandle | undefined;
  readonly #tasks: ConnectClient<typeof TaskService>;
  readonly #submit: (specs: readonly SubmitSpec[], options: CallOptions) => Promise<TaskHandle[]>;
  readonly #timeoutMs: number;

  /** @internal */
  constructor(
    id: string,
    parts: {
      readonly completion: TaskHandle | undefined;
      readonly tasks: ConnectClient<typeof TaskService>;
      readonly submit: (specs: readonly SubmitSpec[], options: CallOptions) => Promise<TaskHandle[]>;
      readonly timeoutMs: number;
    },
  ) {
    this.id = id;
    this.completion = parts.completion;
    this.#tasks = parts.tasks;
    this.#submit = parts.submit;
    this.#timeoutMs = parts.timeoutMs;
  }

  /**
   * Submits 1 to 10,000 tasks as members in one transaction; returns their handles in the same order.
   *
   * @throws MusterError `BATCH_CLOSED`, and as `Client.submitMany` does.
   */
  submitMany(specs: readonly SubmitSpec[], options: CallOptions = {}): Promise<TaskHandle[]> {
    return this.#submit(
      specs.map((spec) => ({ ...spec, batchId: this.id })),
      options,
    );
  }

  /** Takes no more members: the completion task starts when all of them have ended. A second call does nothing. */
  async close(options: CallOptions = {}): Promise<Plain<Batch>> {
    return present(await this.#tasks.closeBatch({ batchId: this.id }, this.#call(options)));
  }

  /** Reads the batch as it is now, with its counts. */
  async get(options: CallOptions = {}): Promise<Plain<Batch>> {
    return present(await this.#tasks.getBatch({ batchId: this.id }, this.#call(options)));
  }

  /** Cancels the completion task, closes the batch, and has its members cancelled. A second call does nothing. */
  async cancel(reason = "", options: CallOptions = {}): Promise<Plain<Batch>> {
    return present(await this.#tasks.cancelBatch({ batchId: this.id, reason }, this.#call(options)));
  }

  /** Its members, in the order of their ids. */
  async *members(options: CallOptions = {}): AsyncGenerator<Plain<LinkedTask>, void, undefined> {
    let pageToken = "";
    do {
      const request = { batchId: this.id, pageSize: PAGE, pageToken };
      const page = await this.#tasks.listBatchTasks(request, this.#call(options));
      for (const task of page.tasks) yield plain(LinkedTaskSchema, task);
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
  }

  /**
   * Waits until the batch is closed and all members have ended; returns it with its counts.
   *
   * @throws MusterError `DEADLINE_EXCEEDED` after `timeoutS`, and the reason of the signal when it aborts.
   */
  async wait({ timeoutS, signal }: WaitOptions = {}): Promise<Plain<Batch>> {
    const limitMs = timeoutMsOf("wait", timeoutS);
    const until = limitMs === undefined ? undefined : AbortSignal.timeout(limitMs);
    for (;;) {
      signal?.throwIfAborted();
      const batch = await this.get(signal ? { signal } : {});
      if (batch.closeTime && openCount(batch) === 0) return batch;
      if (until?.aborted)
        throw new MusterError(
          `The batch ${this.id} has ${openCount(batch)} open tasks after ${timeoutS} s.`,
          {
            code: Code.DeadlineExceeded,
          },
        );
      await sleep(LOOK_EVERY_MS, signal);
    }
  }

  #call({ timeoutS, signal }: CallOptions) {
    const timeoutMs = timeoutMsOf("batch", timeoutS) ?? this.#timeoutMs;
    return { timeoutMs, ...(signal ? { signal } : {}) };
  }
}

/** Members that have not ended. */
function openCount({ counts }: Plain<Batch>): number {
  return (
    Number(counts?.queuedCount ?? 0) + Number(counts?.assignedCount ?? 0) + Number(counts?.runningCount ?? 0)
  );
}

function present({ batch }: { readonly batch?: Batch | undefined }): Plain<Batch> {
  if (batch === undefined) throw new MusterError("The scheduler sent no batch.", { code: Code.Internal });
  return plain(BatchSchema, batch);
}
