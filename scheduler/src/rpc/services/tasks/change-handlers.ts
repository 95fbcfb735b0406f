/** The handler of TaskService for changes of many tasks. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ChangeTasksResponseSchema, TaskService } from "@muster/protocol";
import type { Clock } from "../../../clock.ts";
import type { RetryPolicies } from "../../../dispatch/attempts/retry-policies.ts";
import type { ChangeProgress } from "../../../dispatch/changes/change-tally.ts";
import type { ChangeRequest, TaskChanger } from "../../../dispatch/changes/task-changer.ts";
import type { SizeLimits } from "../../../dispatch/limits.ts";
import { DatabaseUnavailableError } from "../../../domain/errors.ts";
import {
  batchNotFound,
  databaseUnavailable,
  queueNotFound,
  schedulerStopping,
} from "../../../domain/refusals.ts";
import { formatBatchId } from "../../../domain/tasks/batch.ts";
import type { BatchStore, ChangeStore, TaskStore } from "../../../store/store.ts";
import { fittedTask } from "../../convert/tasks/fitted-task.ts";
import { fromProgress, toChangeRequest } from "../../convert/tasks/task-change.ts";
import { timestampFromMs } from "../../convert/values/time.ts";
import type { Handlers } from "../../server/handlers.ts";

/** Largest example, bytes: ten of them fit into a message. */
const MAX_EXAMPLE_BYTES = 64 * 1024;

/** Parts that it uses. */
export interface ChangeHandlerParts {
  readonly store: Pick<BatchStore, "getBatch"> &
    Pick<ChangeStore, "queueExists"> &
    Pick<TaskStore, "followedTask">;
  readonly changer: TaskChanger;
  readonly retryPolicies: Pick<RetryPolicies, "resolve">;
  readonly clock: Clock;
  readonly sizes: SizeLimits;
  /** Aborts when the scheduler stops. */
  readonly stopping: AbortSignal;
}

export function changeHandlers(parts: ChangeHandlerParts): Pick<Handlers<typeof TaskService>, "changeTasks"> {
  const { store, changer, retryPolicies, clock, sizes, stopping } = parts;

  async function requireNamed({ change, filter, dryRun }: ChangeRequest): Promise<void> {
    if (change.kind === "move" && !(change.createQueue && dryRun)) {
      if (!(await store.queueExists(change.queue, change.createQueue))) throw queueNotFound(change.queue);
    }
    const { batchId } = filter;
    if (batchId !== undefined && !(await store.getBatch(batchId)))
      throw batchNotFound(formatBatchId(batchId));
  }

  async function examplesOf({ examples }: ChangeProgress) {
    const found = await Promise.all(examples.map((id) => store.followedTask(id)));
    const most = Math.min(MAX_EXAMPLE_BYTES, sizes.maxMessageBytes);
    return found.flatMap((each) => (each ? [fittedTask(each.task, retryPolicies, undefined, most)] : []));
  }

  return {
    async *changeTasks(message, { signal }) {
      if (stopping.aborted) throw schedulerStopping("call");
      const request = toChangeRequest(message);
      let done = 0;
      try {
        await requireNamed(request);
        for await (const progress of changer.run(request, signal, stopping)) {
          done = progress.done;
          const isLast = progress.left === undefined;
          yield {
            ...fromProgress(request, progress),
            ...(request.dryRun && isLast ? { examples: await examplesOf(progress) } : {}),
            readTime: timestampFromMs(clock.now()),
          } satisfies MessageInitShape<typeof ChangeTasksResponseSchema>;
        }
      } catch (error) {
        if (!(error instanceof DatabaseUnavailableError)) throw error;
        throw databaseUnavailable(
          error,
          `this call had changed ${done} tasks, which stays; call again with the last continue_token to go on`,
        );
      }
    },
  };
}
