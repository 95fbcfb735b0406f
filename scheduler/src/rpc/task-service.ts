import type { TaskService } from "@muster/protocol";
import type { Clock } from "../clock.ts";
import type { SizeLimits } from "../dispatch/limits.ts";
import type { Submitter } from "../dispatch/submitter.ts";
import type { TaskControl } from "../dispatch/task-control.ts";
import type { TaskSignals } from "../dispatch/task-signals.ts";
import { quoted } from "../domain/cut.ts";
import { Refusal } from "../domain/errors.ts";
import { formatAttemptId, formatTaskId, parseTaskId } from "../domain/ids.ts";
import { hasEnded, type TaskRecord } from "../domain/task.ts";
import type { OutputChunk, Store } from "../store/store.ts";
import type { Tracing } from "../telemetry/tracing.ts";
import type { Explainer } from "./explainer.ts";
import { fromTask, toTaskState } from "./from-domain.ts";
import { fromExplanation } from "./from-explanation.ts";
import type { CallContext, Handlers } from "./handlers.ts";
import { pageSize, pageToken, parsePageToken } from "./pages.ts";
import { toNewTasks } from "./task-spec.ts";
import { storable } from "./text.ts";
import { timestampFromMs } from "./time.ts";

/** A watched task is read this often without a signal: its worker may be another scheduler's. */
const WATCH_POLL_MS = 500;

/** Output chunks in one message of WatchTask. */
const WATCH_CHUNKS = 100;

/** What the service works with. */
export interface TaskServiceParts {
  readonly store: Store;
  readonly submitter: Submitter;
  readonly control: TaskControl;
  readonly signals: TaskSignals;
  readonly explainer: Explainer;
  readonly clock: Clock;
  readonly sizes: SizeLimits;
  readonly tracing: Tracing;
  /** Aborts when the scheduler stops: watches end. */
  readonly stopping: AbortSignal;
}

/** Handlers of TaskService. */
export function taskService(parts: TaskServiceParts): Handlers<typeof TaskService> {
  const { store, submitter, control } = parts;
  return {
    async submitTasks({ tasks }, { requestHeader }) {
      if (parts.stopping.aborted) throw stoppingRefusal();
      const inserted = await parts.tracing.submit(requestHeader, toNewTasks(tasks, parts.sizes), (traced) =>
        submitter.submit(traced),
      );
      return { tasks: inserted.map(({ id, duplicate }) => ({ taskId: formatTaskId(id), duplicate })) };
    },

    async getTask({ taskId }) {
      const task = await requireTask(store, taskId);
      return { task: fromTask(task, await store.getAttempts(task.id)) };
    },

    async listTasks(request) {
      const limit = pageSize(request.pageSize, 50);
      const tasks = await store.listTasks({
        states: request.states.flatMap((state) => toTaskState(state) ?? []),
        queue: storable(request.queue, 256) || undefined,
        type: storable(request.type, 256) || undefined,
        detail: storable(request.detail, 256) || undefined,
        workerId: storable(request.workerId, 256) || undefined,
        beforeId: parsePageToken(request.pageToken),
        limit: limit + 1,
      });
      const page = tasks.slice(0, limit);
      const last = page.at(-1);
      return {
        tasks: page.map((task) => fromTask(task)),
        nextPageToken: tasks.length > limit && last ? pageToken(last.id) : "",
      };
    },

    async cancelTask({ taskId, reason }) {
      const id = requireId(taskId);
      const outcome = await control.cancel(id, storable(reason, 1_024) || "asked by a caller");
      if (outcome === undefined) throw notFound(taskId);
      if (outcome === "ended") {
        throw new Refusal(
          "precondition",
          "TASK_ALREADY_ENDED",
          `task ${taskId} has already ended; look at it with GetTask`,
        );
      }
      return { task: fromTask(await requireTask(store, taskId)) };
    },

    async retryTask({ taskId }) {
      const outcome = await control.retry(requireId(taskId));
      if (outcome === undefined) throw notFound(taskId);
      if (outcome === "active") {
        throw new Refusal(
          "precondition",
          "TASK_NOT_RETRYABLE",
          `task ${taskId} is queued or running; only one that has ended or waits for its time can be retried`,
        );
      }
      return { task: fromTask(await requireTask(store, taskId)) };
    },

    watchTask: (request, context) => watchTask(parts, request.taskId, context),

    async explainTask({ taskId }) {
      const explanation = await parts.explainer.task(requireId(taskId));
      if (!explanation) throw notFound(taskId);
      return { explanation: fromExplanation(explanation) };
    },
  };
}

async function* watchTask(parts: TaskServiceParts, taskId: string, { signal }: CallContext) {
  const { store, signals, clock } = parts;
  let task = await requireTask(store, taskId);
  let wake = new AbortController();
  const unwatch = signals.watch(task.id, () => wake.abort());
  const over = AbortSignal.any([signal, parts.stopping]);
  let sent = "";
  let position = { epoch: 0, sequence: 0 };
  try {
    while (!signal.aborted) {
      const chunks = await store.outputAfter(task.id, position.epoch, position.sequence, WATCH_CHUNKS);
      position = chunks.at(-1) ?? position;
      const message = watchMessage(task, chunks, clock.now());
      const seen = JSON.stringify(watched(task));
      if (seen !== sent || chunks.length > 0) yield message;
      sent = seen;
      if (hasEnded(task.state) && chunks.length < WATCH_CHUNKS) return;
      if (parts.stopping.aborted) throw stoppingRefusal();
      if (chunks.length < WATCH_CHUNKS)
        await clock.sleep(WATCH_POLL_MS, AbortSignal.any([over, wake.signal]));
      wake = new AbortController();
      task = await requireTask(store, taskId);
    }
  } finally {
    unwatch();
  }
}

function watchMessage(task: TaskRecord, chunks: readonly OutputChunk[], now: number) {
  return {
    task: fromTask({ ...task, payload: undefined }),
    outputChunks: chunks.map((chunk) => ({
      attemptId: formatAttemptId(chunk),
      sequence: BigInt(chunk.sequence),
      data: chunk.data,
    })),
    readTime: timestampFromMs(now),
  };
}

/** What a watcher is told of; a task that did not change in these is not sent again. */
function watched(task: TaskRecord): unknown[] {
  const { state, epoch, assignTime, acceptTime, startTime, phase, phaseTime, progress, cancelTime, runTime } =
    task;
  return [state, epoch, assignTime, acceptTime, startTime, phase, phaseTime, progress, cancelTime, runTime];
}

function requireId(taskId: string): number {
  const id = parseTaskId(taskId);
  if (id === undefined) throw notFound(taskId);
  return id;
}

async function requireTask(store: Store, taskId: string): Promise<TaskRecord> {
  const task = await store.getTask(requireId(taskId));
  if (!task) throw notFound(taskId);
  return task;
}

function notFound(taskId: string): Refusal {
  return new Refusal(
    "not_found",
    "TASK_NOT_FOUND",
    `there is no task ${quoted(taskId)}; ids look like t-1042, and ended tasks are kept for a limited time`,
  );
}

/** @param advice What to do. */
export function stoppingRefusal(advice = "try again"): Refusal {
  return new Refusal("unavailable", "SCHEDULER_STOPPING", `the scheduler is stopping; ${advice}`, {
    retryDelayMs: 1_000,
  });
}
