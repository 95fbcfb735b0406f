/** Serves the API as Connect calls. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { DescMessage, Message } from "@bufbuild/protobuf";
import type { HandlerContext, Interceptor } from "@connectrpc/connect";
import { Code, ConnectError, createConnectRouter } from "@connectrpc/connect";
import {
  compressionBrotli,
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from "@connectrpc/connect-node";
import { quoted } from "@muster/common/text/text";
import { FleetService, PoolService, ScheduleService, TaskService } from "@muster/protocol";
import type { Calls } from "../rpc/server/calls.ts";
import { INTERNAL, isInternal, toConnectError } from "../rpc/server/errors.ts";
import type { CallContext, Handlers } from "../rpc/server/handlers.ts";
import { answer } from "./answer.ts";
import { withoutByteOrderMark } from "./byte-order-mark.ts";
import { type Access, type Callers, headersOf } from "./callers.ts";
import { withoutPayloads } from "./payload-filter.ts";
import { namesHost } from "./request-target.ts";

/** Answers a call; false when no method has this path. */
export type ServeCall = (path: string, request: IncomingMessage, response: ServerResponse) => boolean;

type UniversalHandler = ReturnType<typeof createConnectRouter>["handlers"][number];

/** TaskService, FleetService, ScheduleService and PoolService by the Connect protocol. */
export function connectCalls(options: {
  callers: Pick<Callers, "check" | "hidesPayloads">;
  calls: Calls;
  task: Handlers<typeof TaskService>;
  fleet: Handlers<typeof FleetService>;
  schedule: Handlers<typeof ScheduleService>;
  pool: Handlers<typeof PoolService>;
  maxMessageBytes: number;
  /** Where gRPC is served, `host:port`. */
  grpcAddress: () => string;
}): ServeCall {
  const { callers, calls, task, fleet, schedule, pool, maxMessageBytes, grpcAddress } = options;
  const router = createConnectRouter({
    acceptCompression: [compressionGzip, compressionBrotli],
    interceptors: [guard(callers, calls)],
    readMaxBytes: maxMessageBytes,
    writeMaxBytes: maxMessageBytes,
  });
  router.service(TaskService, task satisfies Mounted<typeof TaskService>);
  router.service(FleetService, fleet satisfies Mounted<typeof FleetService>);
  router.service(ScheduleService, schedule satisfies Mounted<typeof ScheduleService>);
  router.service(PoolService, pool satisfies Mounted<typeof PoolService>);
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
  return (path, request, response) => {
    const handler = handlers.get(path);
    if (!handler) return false;
    const { name } = handler.method;
    const fail = () => abandon(response);
    calls.run({ method: name, fail }, () => {
      const refused = refusal(handler, request, grpcAddress());
      if (refused) answer(response, refused.status, { error: refused.error }, refused.headers);
      else void serve(handler, request, response, calls);
    });
    return true;
  };
}

/** Our handlers take less of the context than Connect gives. */
type Mounted<
  S extends typeof TaskService | typeof FleetService | typeof ScheduleService | typeof PoolService,
> = {
  [K in keyof Handlers<S>]: (request: never, context: CallContext & Partial<HandlerContext>) => unknown;
};

async function serve(
  handler: UniversalHandler,
  request: IncomingMessage,
  response: ServerResponse,
  calls: Calls,
): Promise<void> {
  try {
    const body = withoutByteOrderMark(request);
    const answered = await handler(universalRequestFromNodeRequest(body, response, undefined, undefined));
    await universalResponseToNodeResponse(answered, response);
  } catch (error) {
    // The caller is gone, which is no fault of the scheduler; no answer can reach it.
    if (response.destroyed || ConnectError.from(error).code === Code.Aborted) return;
    calls.report(handler.method.name, error);
    abandon(response);
  }
}

/** Ends an answer that cannot be given: with an error while nothing of it has left, by cutting it after that. */
function abandon(response: ServerResponse): void {
  if (response.headersSent) response.destroy();
  else answer(response, 500, { code: "internal", message: INTERNAL });
}

interface Refused {
  readonly status: number;
  readonly error: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What Connect would answer without a word, or not survive. */
function refusal(handler: UniversalHandler, request: IncomingMessage, grpc: string): Refused | undefined {
  const { method, requestPath, supportedContentType } = handler;
  if (!namesHost(request)) {
    return { status: 400, error: "the header Host is missing or empty; send the address that was called" };
  }
  if (method.methodKind === "bidi_streaming") {
    return {
      status: 501,
      error: `${method.name} is a stream in both directions, which HTTP does not carry here; call it by gRPC at ${grpc}`,
    };
  }
  const byGet = method.methodKind === "unary" && method.idempotency === NO_SIDE_EFFECTS;
  if (request.method !== "POST" && !(byGet && request.method === "GET" && isConnectGet(request.url))) {
    return {
      status: 405,
      error: `${requestPath} is a call: send it with POST and a JSON body, ${EXAMPLE}`,
      headers: { allow: "POST" },
    };
  }
  if (request.method === "GET" && !hasReadableMessage(request.url)) {
    return {
      status: 400,
      error:
        "the query's message is not base64, as its base64=1 says; send it so, or as JSON without base64=1",
    };
  }
  const type = request.headers["content-type"] ?? "";
  if (request.method === "POST" && !supportedContentType(type)) {
    const wanted = method.methodKind === "unary" ? "application/json" : "application/connect+json";
    return {
      status: 415,
      error: `the header content-type is ${type === "" ? "missing" : quoted(type)}; send ${wanted}${method.methodKind === "unary" ? `, ${EXAMPLE}` : ""}`,
      headers: { "accept-post": wanted },
    };
  }
  return undefined;
}

const EXAMPLE = "for example curl -H 'content-type: application/json' -d '{}' URL";

/** `google.protobuf.MethodOptions.IdempotencyLevel`. */
const NO_SIDE_EFFECTS = 1;

/** Calls by GET carry their request in the query. */
function isConnectGet(url = ""): boolean {
  return new URLSearchParams(url.slice(url.indexOf("?") + 1)).has("encoding");
}

/** False for what Connect cannot decode and answers as a fault of ours. */
function hasReadableMessage(url = ""): boolean {
  const query = new URLSearchParams(url.slice(url.indexOf("?") + 1));
  const text = (query.get("message") ?? "").replace(/=+$/, "");
  return query.get("base64") !== "1" || (/^[\w+/-]*$/.test(text) && text.length % 4 !== 1);
}

/** Streams to the caller only report, but for that of a change of many tasks. */
function accessOf({ name, idempotency }: { name: string; idempotency: number }): Access {
  return idempotency === NO_SIDE_EFFECTS || name.startsWith("Watch") ? "read" : "change";
}

function guard(callers: Pick<Callers, "check" | "hidesPayloads">, calls: Calls): Interceptor {
  return (next) => async (request) => {
    try {
      const headers = headersOf((name) => request.header.get(name) ?? undefined);
      callers.check(headers, accessOf(request.method));
      const hides = callers.hidesPayloads(headers);
      const response = await next(request);
      const { output, name } = request.method;
      if (!response.stream)
        return hides ? { ...response, message: withoutPayloads(output, response.message) } : response;
      const messages = hides ? mapped(response.message, output) : response.message;
      return { ...response, message: mapErrors(messages, name, calls) };
    } catch (error) {
      throw told(error, request.method.name, calls);
    }
  };
}

async function* mapped<T extends Message>(messages: AsyncIterable<T>, output: DescMessage): AsyncIterable<T> {
  for await (const message of messages) yield withoutPayloads(output, message);
}

async function* mapErrors<T>(messages: AsyncIterable<T>, method: string, calls: Calls): AsyncIterable<T> {
  try {
    yield* messages;
  } catch (error) {
    throw told(error, method, calls);
  }
}

function told(error: unknown, method: string, calls: Calls) {
  if (isInternal(error)) calls.report(method, error);
  return toConnectError(error);
}
