/** Waits for the end of a task. */
import type { Clock } from "../../clock.ts";
import type { TaskFollowers } from "../../dispatch/following/task-followers.ts";
import { formatTaskId } from "../../domain/ids.ts";
import { taskNotFound } from "../../domain/refusals.ts";
import { hasEnded, type TaskRecord, type TaskState } from "../../domain/tasks/task.ts";
import type { TaskStore } from "../../store/store.ts";

/** What a wait needs. */
export interface TaskEndParts {
  readonly store: Pick<TaskStore, "followedTask" | "getTask">;
  readonly followers: Pick<TaskFollowers, "open">;
  readonly clock: Pick<Clock, "after">;
  /** Aborts when the scheduler stops: waits are over. */
  readonly stopping: AbortSignal;
}

/** Position after every chunk of output: a wait for the end alone is not resumed by output. */
const AFTER_OUTPUT = { epoch: 2 ** 31 - 1, sequence: Number.MAX_SAFE_INTEGER };

/**
 * The ended task with its result, or the state of one that has not ended when the wait is over: after `waitMs`, at the
 * scheduler's stop, or when the caller is gone.
 *
 * @throws Refusal `TASK_NOT_FOUND`
 * @throws DatabaseUnavailableError
 */
export async function taskEnd(
  parts: TaskEndParts,
  taskId: number,
  waitMs: number,
  gone: AbortSignal,
): Promise<{ readonly ended: TaskRecord } | { readonly open: TaskState }> {
  const { store, followers, clock, stopping } = parts;
  const late = new AbortController();
  const cancel = waitMs > 0 ? clock.after(waitMs, () => late.abort()) : undefined;
  if (waitMs <= 0) late.abort();
  const over = AbortSignal.any([late.signal, gone, stopping]);
  const follower = followers.open(taskId);
  try {
    for (;;) {
      const found = await store.followedTask(taskId);
      if (!found) throw taskNotFound(formatTaskId(taskId));
      const { task, version } = found;
      if (hasEnded(task.state)) {
        const ended = await store.getTask(taskId);
        if (!ended) throw taskNotFound(formatTaskId(taskId));
        // A retry by hand may have come in between.
        if (hasEnded(ended.state)) return { ended };
      } else if (over.aborted) return { open: task.state };
      follower.saw({ version, ...AFTER_OUTPUT });
      await follower.changed(over);
    }
  } finally {
    cancel?.();
    follower.close();
  }
}
