/** Sends a watcher the changes of a task. */
import type { Clock } from "../../clock.ts";
import type { RetryPolicies } from "../../dispatch/attempts/retry-policies.ts";
import type { TaskFollowers } from "../../dispatch/following/task-followers.ts";
import type { Refusal } from "../../domain/errors.ts";
import { formatAttemptId } from "../../domain/ids.ts";
import { hasEnded, type TaskRecord } from "../../domain/tasks/task.ts";
import type { OutputChunk, TaskStore } from "../../store/store.ts";
import { fittedTask } from "../convert/tasks/fitted-task.ts";
import { timestampFromMs } from "../convert/values/time.ts";

/** Output chunks in one message, and their bytes: a quarter of the largest message that clients take by default. */
const MAX_CHUNKS = 1_000;
const MAX_CHUNK_BYTES = 1024 * 1024;

/** What following a task needs. */
export interface WatchTaskParts {
  readonly store: Pick<TaskStore, "followedTask" | "getTask" | "outputAfter">;
  readonly followers: TaskFollowers;
  readonly retryPolicies: Pick<RetryPolicies, "resolve">;
  readonly clock: Clock;
  readonly pageBytes: number;
  /** Largest message, bytes. */
  readonly maxMessageBytes: number;
  readonly stopping: AbortSignal;
}

/**
 * The task now and at every change, until it has ended. Its end is shown after its last chunk, in a message of its own with
 * the result: whoever stops at it has seen all of the output.
 *
 * @param refusals What is thrown when there is no such task, and when the scheduler stops.
 */
export async function* watchTask(
  parts: WatchTaskParts,
  taskId: number,
  signal: AbortSignal,
  refusals: { readonly notFound: () => Refusal; readonly stopping: () => Refusal },
) {
  const { store, followers, clock, stopping, pageBytes } = parts;
  const follower = followers.open(taskId);
  const over = AbortSignal.any([signal, stopping]);
  const maxBytes = Math.min(MAX_CHUNK_BYTES, pageBytes);
  let sent = "";
  let position = { epoch: 0, sequence: 0 };
  try {
    while (!signal.aborted) {
      const found = await store.followedTask(taskId);
      if (!found) throw refusals.notFound();
      const { task, version } = found;
      // Read after the task: what was stored before its end is there.
      const chunks = await store.outputAfter(taskId, position, MAX_CHUNKS, maxBytes);
      const last = chunks.at(-1);
      if (last) position = { epoch: last.epoch, sequence: last.sequence };
      if (hasEnded(task.state) && !last) {
        // Read once more for the result, which is not read before it is needed.
        const ended = await store.getTask(taskId);
        if (!ended) throw refusals.notFound();
        if (hasEnded(ended.state)) {
          yield message({ ...ended, payload: undefined }, [], parts);
          return;
        }
        continue;
      }
      const shown = hasEnded(task.state) ? beforeItsEnd(task) : task;
      const seen = JSON.stringify(watched(shown));
      if (seen !== sent || last) yield message(shown, chunks, parts);
      sent = seen;
      if (last) continue;
      if (stopping.aborted) throw refusals.stopping();
      follower.saw({ version, ...position });
      await follower.changed(over);
    }
  } finally {
    follower.close();
  }

  function message(
    task: TaskRecord,
    chunks: readonly OutputChunk[],
    { retryPolicies, maxMessageBytes }: WatchTaskParts,
  ) {
    return {
      task: fittedTask(task, retryPolicies, undefined, maxMessageBytes),
      outputChunks: chunks.map((chunk) => ({
        attemptId: formatAttemptId(chunk),
        sequence: BigInt(chunk.sequence),
        data: chunk.data,
      })),
      readTime: timestampFromMs(clock.now()),
    };
  }
}

/** As it was when it wrote the output that is still to be sent. */
function beforeItsEnd(task: TaskRecord): TaskRecord {
  return {
    ...task,
    state: "running",
    detail: undefined,
    finishTime: undefined,
    failure: undefined,
    metrics: undefined,
    warnings: [],
  };
}

/** Fields that a watcher sees; a task that did not change in them is not sent again. */
function watched(task: TaskRecord): unknown[] {
  const { state, epoch, assignTime, acceptTime, startTime, phase, phaseTime, progress, cancelTime, runTime } =
    task;
  return [state, epoch, assignTime, acceptTime, startTime, phase, phaseTime, progress, cancelTime, runTime];
}
