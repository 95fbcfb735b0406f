/** Serves tasks by plain HTTP: raw payloads and results, readable JSON, nothing to encode. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { create } from "@bufbuild/protobuf";
import {
  CancelTaskRequestSchema,
  CancelTaskResponseSchema,
  GetTaskRequestSchema,
  GetTaskResponseSchema,
  SubmitTasksRequestSchema,
  SubmitTasksResponseSchema,
  type SubmittedTask,
  type TaskService,
} from "@muster/protocol";
import { formatTaskId, parseTaskId } from "../../domain/ids.ts";
import { taskNotFound } from "../../domain/refusals.ts";
import type { TaskRecord } from "../../domain/tasks/task.ts";
import { toTaskState } from "../../rpc/convert/tasks/task.ts";
import type { Calls } from "../../rpc/server/calls.ts";
import type { CallContext, Handlers } from "../../rpc/server/handlers.ts";
import { answer } from "../answer.ts";
import { type Callers, callerHeaders, payloadsNotShown } from "../callers.ts";
import { namesHost } from "../request-target.ts";
import { readBody } from "./body.ts";
import openapi from "./openapi.json" with { type: "json" };
import { sendOutcome, sendRaw, TASK_ID_HEADER } from "./outcome.ts";
import { badRequest, isOwnFault, type Problem, toProblem } from "./problem.ts";
import { parameterOf, Query } from "./query.ts";
import { type Route, readRoute, taskPath } from "./route.ts";
import { type TaskEndParts, taskEnd } from "./task-end.ts";
import { taskJson } from "./task-json.ts";

/** Name of these calls in the log and the metrics. */
const METHOD = "PlainTasks";

/** A caller that waited in vain asks again after this, seconds. */
const RETRY_AFTER_S = "1";

/** What plain HTTP needs. */
export interface PlainTasksParts extends TaskEndParts {
  readonly callers: Pick<Callers, "check" | "hidesPayloads">;
  readonly calls: Calls;
  readonly task: Pick<Handlers<typeof TaskService>, "submitTasks" | "getTask" | "cancelTask">;
  readonly maxPayloadBytes: number;
  /** Runs work on the database, unless it cannot be used. */
  readonly run: <T>(work: () => Promise<T>) => Promise<T>;
}

/** Answers a request under `/v1`. */
export type ServePlain = (path: string, request: IncomingMessage, response: ServerResponse) => void;

/**
 * The resources under `/v1`, which `openapi.json` describes:
 *
 * - `POST /v1/tasks/TYPE` submits, and with `wait` answers with the result,
 * - `GET /v1/tasks/ID`, `/result` and `/payload` read,
 * - `POST /v1/tasks/ID/cancel` cancels.
 */
export function plainTasks(parts: PlainTasksParts): ServePlain {
  return (path, request, response) => {
    const gone = new AbortController();
    // Also after an answer: what still runs for the request is not needed any more.
    response.once("close", () => gone.abort());
    parts.calls.run({ method: METHOD, fail: () => response.destroy() }, () => {
      void serve(parts, path, request, response, gone.signal);
    });
  };
}

async function serve(
  parts: PlainTasksParts,
  path: string,
  request: IncomingMessage,
  response: ServerResponse,
  gone: AbortSignal,
): Promise<void> {
  try {
    checkCaller(request, parts.callers);
    const route = readRoute(request.method ?? "", path);
    const query = new Query(request.url ?? "", route.kind);
    if (parts.callers.hidesPayloads(callerHeaders(request.headers)) && givesPayload(route, query))
      throw payloadsNotShown();
    await handle(parts, route, query, request, response, gone);
  } catch (error) {
    if (response.destroyed || gone.aborted) return;
    if (isOwnFault(error)) parts.calls.report(METHOD, error);
    if (response.headersSent) response.destroy();
    else sendProblem(request, response, toProblem(error, parameterOf));
  }
}

/** The answer has what a task was given or returns. */
function givesPayload({ kind }: Route, query: Query): boolean {
  return (
    kind === "read" ||
    kind === "result" ||
    kind === "payload" ||
    (kind === "submit" && query.waitMs() !== undefined)
  );
}

/** @throws Problem, Refusal */
function checkCaller(request: IncomingMessage, callers: Pick<Callers, "check">): void {
  if (!namesHost(request))
    throw badRequest("the header Host is missing or empty; send the address that was called");
  callers.check(callerHeaders(request.headers), request.method === "POST" ? "change" : "read");
}

function sendProblem(request: IncomingMessage, response: ServerResponse, problem: Problem): void {
  // The rest of a body that was refused is read and dropped: a connection that is closed before may take the answer with it.
  if (!request.complete) request.resume();
  answer(response, problem.status, problem.body, problem.headers);
}

async function handle(
  parts: PlainTasksParts,
  route: Route,
  query: Query,
  request: IncomingMessage,
  response: ServerResponse,
  gone: AbortSignal,
): Promise<void> {
  const context: CallContext = { signal: gone, requestHeader: traceHeaders(request) };
  switch (route.kind) {
    case "submit":
      return submit(parts, route.type, query, request, response, context);
    case "read": {
      const taskId = requireId(route.taskId);
      const { task } = create(
        GetTaskResponseSchema,
        await parts.task.getTask(create(GetTaskRequestSchema, { taskId: formatTaskId(taskId) }), context),
      );
      if (!task) throw taskNotFound(route.taskId);
      return sendJson(response, taskJson(task), task.id);
    }
    case "result": {
      const waitMs = query.waitMs() ?? 0;
      const taskId = requireId(route.taskId);
      const end = await parts.run(() => taskEnd(parts, taskId, waitMs, gone));
      if ("ended" in end) return sendOutcome(response, end.ended);
      return sendNotEnded(parts, response, taskId, end.open);
    }
    case "payload": {
      const task = await parts.run(() => parts.store.getTask(requireId(route.taskId)));
      if (!task) throw taskNotFound(route.taskId);
      return sendRaw(response, task.payload ?? new Uint8Array(), task.contentType, {
        [TASK_ID_HEADER]: formatTaskId(task.id),
      });
    }
    case "cancel": {
      const taskId = formatTaskId(requireId(route.taskId));
      const reason = query.text("reason") ?? "";
      const { task } = create(
        CancelTaskResponseSchema,
        await parts.task.cancelTask(create(CancelTaskRequestSchema, { taskId, reason }), context),
      );
      const state = task && toTaskState(task.state);
      return answer(
        response,
        200,
        { taskId, state, ...(task?.detail ? { detail: task.detail } : {}) },
        { [TASK_ID_HEADER]: taskId },
      );
    }
    case "description":
      return answer(response, 200, openapi, {});
    default:
      return route satisfies never;
  }
}

async function submit(
  parts: PlainTasksParts,
  type: string,
  query: Query,
  request: IncomingMessage,
  response: ServerResponse,
  context: CallContext,
): Promise<void> {
  const waitMs = query.waitMs();
  const spec = query.spec();
  const { bytes, contentType } = await readBody(request, parts.maxPayloadBytes);
  const asked = create(SubmitTasksRequestSchema, {
    tasks: [{ ...spec, taskType: type, payload: bytes, contentType }],
  });
  const { tasks } = create(SubmitTasksResponseSchema, await parts.task.submitTasks(asked, context));
  const [submitted] = tasks;
  const taskId = submitted && parseTaskId(submitted.taskId);
  if (submitted === undefined || taskId === undefined) throw new Error("no task was submitted");
  if (waitMs === undefined) return sendSubmitted(response, submitted);
  const end = await waited(parts, taskId, waitMs, context.signal);
  if (end && "ended" in end) return sendOutcome(response, end.ended);
  return sendNotEnded(parts, response, taskId, end?.open);
}

/** Undefined where the wait failed: the task was accepted, and a caller that repeats its request would make another one. */
async function waited(parts: PlainTasksParts, taskId: number, waitMs: number, gone: AbortSignal) {
  try {
    return await parts.run(() => taskEnd(parts, taskId, waitMs, gone));
  } catch (error) {
    if (isOwnFault(error)) parts.calls.report(METHOD, error);
    return undefined;
  }
}

function sendSubmitted(response: ServerResponse, submitted: SubmittedTask): void {
  const { taskId, duplicate, conflict, warnings, waitsForTasks } = submitted;
  const state = conflict && toTaskState(conflict.holderState);
  const body = {
    taskId,
    ...(duplicate ? { duplicate } : {}),
    ...(state === undefined ? {} : { state }),
    ...(waitsForTasks ? { waitsForTasks } : {}),
    ...(warnings.length === 0 ? {} : { warnings: warnings.map(({ code, message }) => ({ code, message })) }),
  };
  answer(response, conflict ? 200 : 201, body, {
    location: taskPath(taskId),
    [TASK_ID_HEADER]: taskId,
  });
}

/** The wait is over, and the task goes on. */
function sendNotEnded(
  { stopping }: PlainTasksParts,
  response: ServerResponse,
  id: number,
  state: TaskRecord["state"] | undefined,
): void {
  // An open connection would hold up the stop.
  if (stopping.aborted) response.setHeader("connection", "close");
  const taskId = formatTaskId(id);
  answer(
    response,
    202,
    { taskId, ...(state === undefined ? {} : { state }) },
    {
      location: taskPath(taskId, "result"),
      "retry-after": RETRY_AFTER_S,
      [TASK_ID_HEADER]: taskId,
    },
  );
}

function sendJson(response: ServerResponse, text: string, taskId: string): void {
  response.writeHead(200, {
    "content-type": "application/json",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    [TASK_ID_HEADER]: taskId,
  });
  response.end(text);
}

/** @throws Refusal `TASK_NOT_FOUND` */
function requireId(text: string): number {
  const id = parseTaskId(text);
  if (id === undefined) throw taskNotFound(text);
  return id;
}

/** The trace context of a caller. */
function traceHeaders({ headers }: IncomingMessage): Headers {
  const trace = new Headers();
  for (const name of ["traceparent", "tracestate"]) {
    const value = headers[name];
    if (typeof value === "string") trace.set(name, value);
  }
  return trace;
}
