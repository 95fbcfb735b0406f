/** The answer to those who asked for the result of a task. */
import type { ServerResponse } from "node:http";
import { formatTaskId } from "../../domain/ids.ts";
import type { TaskRecord } from "../../domain/tasks/task.ts";
import { outgoingText } from "../../rpc/server/outgoing.ts";
import { Problem } from "./problem.ts";

/** A media type that a header may carry as it is. */
const SAFE_TYPE = /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(?: *; *[\w!#$&^.+-]+=(?:[\w!#$&^.+-]+|"[ !#-[\]-~]*"))*$/;

/** Header with the id of the task that an answer is about. */
export const TASK_ID_HEADER = "muster-task-id";

/**
 * Sends the bytes of a payload or a result. Headers forbid browsers to guess their type and to run scripts in them: workers and
 * callers choose both.
 */
export function sendRaw(
  response: ServerResponse,
  bytes: Uint8Array,
  contentType: string,
  headers: Readonly<Record<string, string>>,
): void {
  response.writeHead(200, {
    "content-type": SAFE_TYPE.test(contentType) ? contentType : "application/octet-stream",
    "content-length": String(bytes.byteLength),
    "content-security-policy": "sandbox; default-src 'none'",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    ...headers,
  });
  response.end(bytes);
}

/** Sends the result of an ended task. @throws Problem for one that has none: it failed, or was cancelled. */
export function sendOutcome(response: ServerResponse, task: TaskRecord): void {
  if (task.state !== "succeeded") throw withoutResult(task);
  sendRaw(response, task.output ?? new Uint8Array(), task.outputContentType, {
    [TASK_ID_HEADER]: formatTaskId(task.id),
    ...(task.detail === undefined ? {} : { "muster-task-detail": task.detail }),
  });
}

function withoutResult(task: TaskRecord): Problem {
  const taskId = formatTaskId(task.id);
  const { state, detail = "", failure } = task;
  const about = { taskId, state, detail };
  const headers = { [TASK_ID_HEADER]: taskId };
  if (state === "cancelled") {
    const why = task.cancelReason ? `: ${task.cancelReason}` : "";
    const message = outgoingText(`task ${taskId} was cancelled${why}`);
    return new Problem(409, { code: "TASK_CANCELLED", message, ...about }, headers);
  }
  const body = {
    code: failure?.code ?? detail,
    message: failure === undefined ? `task ${taskId} failed` : outgoingText(failure.message, 8_192),
    ...about,
    ...(failure?.details === undefined ? {} : { details: parsed(failure.details) }),
  };
  return new Problem(statusOf(task), body, headers);
}

/** The caller's fault, a time limit, or anything else that went wrong in the handler. */
function statusOf({ detail, failure }: TaskRecord): number {
  if (failure?.code === "INVALID_PAYLOAD") return 422;
  if (failure?.failureClass === "timed_out" || detail === "DEADLINE_BEFORE_START") return 504;
  return 500;
}

function parsed(details: string): unknown {
  try {
    return JSON.parse(details);
  } catch {
    return details;
  }
}
