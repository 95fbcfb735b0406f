/** The handler of FleetService with which operators ask where handlers are. */
import type { FleetService } from "@muster/protocol";
import type { StackReader } from "../../../dispatch/sessions/workers/stack-reader.ts";
import { Refusal } from "../../../domain/errors.ts";
import { formatAttemptId, formatTaskId, parseTaskId } from "../../../domain/ids.ts";
import { invalidRequest, taskNotFound } from "../../../domain/refusals.ts";
import { hasRegistered, type WorkerRecord } from "../../../domain/workers/worker.ts";
import type { TaskStore } from "../../../store/store.ts";
import { storable } from "../../convert/values/text.ts";
import { durationFault, toMs } from "../../convert/values/time.ts";
import { fromStack } from "../../convert/workers/stack.ts";
import type { Handlers } from "../../server/handlers.ts";

const TIMEOUT_MS = 10_000;
const MIN_TIMEOUT_MS = 100;
const MAX_TIMEOUT_MS = 30_000;

/** Parts that the handler uses. */
export interface StackHandlerParts {
  readonly store: Pick<TaskStore, "getTask">;
  readonly stacks: Pick<StackReader, "read">;
}

/**
 * The handler.
 *
 * @param living A worker that has not ended, by its id. @throws Refusal `WORKER_NOT_FOUND` or `WORKER_GONE`
 */
export function stackHandlers(
  { store, stacks }: StackHandlerParts,
  living: (workerId: string) => Promise<WorkerRecord>,
): Pick<Handlers<typeof FleetService>, "getStack"> {
  /** Its attempt and worker. */
  const running = async (text: string): Promise<{ attemptId: string; workerId: string }> => {
    const id = parseTaskId(text);
    const task = id === undefined ? undefined : await store.getTask(id);
    if (!task) throw taskNotFound(text);
    const { epoch, state, workerId } = task;
    if (workerId === undefined || (state !== "running" && state !== "assigned"))
      throw new Refusal(
        "precondition",
        "TASK_NOT_RUNNING",
        `${formatTaskId(task.id)} is ${state}: no worker has it, so there is no stack; \`muster why ${formatTaskId(task.id)}\` explains its state`,
      );
    return { attemptId: formatAttemptId({ taskId: task.id, epoch }), workerId };
  };
  return {
    async getStack({ taskId, workerId, timeout }) {
      const fault = timeout && durationFault(timeout, MAX_TIMEOUT_MS);
      if (fault !== undefined) throw invalidRequest({ field: "timeout", description: fault });
      const timeoutMs = toMs(timeout) ?? TIMEOUT_MS;
      if (timeoutMs < MIN_TIMEOUT_MS)
        throw invalidRequest({
          field: "timeout",
          description: `is ${timeoutMs} ms; at least ${MIN_TIMEOUT_MS} ms are allowed`,
        });
      if ((taskId === "") === (workerId === ""))
        throw invalidRequest({
          field: "task_id",
          description: "exactly one of task_id and worker_id must be set",
        });
      const asked = taskId === "" ? { attemptId: "", workerId } : await running(storable(taskId, 64));
      const worker = await living(asked.workerId);
      if (!hasRegistered(worker))
        throw new Refusal(
          "precondition",
          "WORKER_NOT_CONNECTED",
          `worker ${worker.workerId} has not registered yet, so it cannot be asked where its handlers are`,
        );
      const stack = fromStack(await stacks.read(worker, asked.attemptId, timeoutMs));
      return { workerId: worker.workerId, attemptId: asked.attemptId, stack };
    },
  };
}
