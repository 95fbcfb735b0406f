/** The result of an ended task. */
import type { Task, TaskStateName } from "@muster/protocol";
import { plainTask, TaskState } from "@muster/protocol";
import { isEncoded } from "../../payloads/envelope.ts";
import { notDecodable } from "../../payloads/payload-coder.ts";
import { TaskCancelledError, TaskFailedError } from "../errors.ts";

/** True for the states of an ended task: `succeeded`, `failed`, `cancelled`. */
export function isEnded(state: TaskStateName): boolean {
  return state === "succeeded" || state === "failed" || state === "cancelled";
}

export function hasEnded(state: TaskState): boolean {
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
