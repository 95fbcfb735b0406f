/** The transport of a client over all addresses of its schedulers. */
import { isMessage } from "@bufbuild/protobuf";
import type { Interceptor, Transport } from "@connectrpc/connect";
import { Code } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { SubmitTasksRequestSchema, SubmitTasksResponseSchema } from "@muster/protocol";
import type { Connection } from "../../options/connection-options.ts";
import { tracedSubmit } from "../../tracing/submit-trace.ts";
import { MusterError } from "../errors.ts";
import { Http2Connection, wasRefused, wasUnsent } from "./http2-connection.ts";
import { explainFailure } from "./unreachable.ts";

/** How often a call is sent again whose stream was refused. */
const MAX_REFUSALS = 3;

/** A transport over every address of a connection, whose errors are MusterErrors. */
export interface FailoverTransport extends Transport {
  /** Index of the address in use. */
  readonly current: number;
  /** True once one of the addresses has answered in HTTP/2. */
  readonly spoke: boolean;
  /**
   * Describes a failure at an address; when the address is unavailable and still in use, the next one is used.
   * @param name Name of the method that was called.
   */
  explained(error: unknown, used: number, name: string): Promise<MusterError>;
  /** Closes every connection; calls in flight and later ones fail. */
  close(): void;
}

interface Endpoint {
  readonly address: string;
  readonly transport: Transport;
  readonly http2: Http2Connection;
}

/**
 * Sends every call to one address until it is unavailable, then to the next one. A call of which nothing was sent is
 * sent to the next address, and a call whose stream was refused is sent again; any other call is not repeated here,
 * because only the caller knows whether that is safe.
 *
 * @param timeoutMs Default timeout of calls with one answer. Streams have none: pings check their connection instead.
 */
export function createFailoverTransport(connection: Connection, timeoutMs: number): FailoverTransport {
  const endpoints = connection.addresses.map((address) => createEndpoint(address, connection));
  let current = 0;
  let closed = false;
  const guarded = async <T>(
    {
      name,
      limitMs,
      signal,
      tries,
    }: { name: string; limitMs: number | undefined; signal: AbortSignal | undefined; tries: number },
    call: (transport: Transport) => Promise<T>,
  ): Promise<T> => {
    let refusals = 0;
    for (let left = tries; ; left -= 1) {
      const used = current;
      const endpoint = endpoints[used];
      if (endpoint === undefined) throw new RangeError(`no scheduler address number ${used}`);
      try {
        return await call(endpoint.transport);
      } catch (error) {
        if (signal?.aborted) throw MusterError.from(error);
        const failure = await explained(error, used, name, limitMs);
        if (wasRefused(error) && refusals < MAX_REFUSALS && !closed) {
          refusals += 1;
          left += 1;
          continue;
        }
        if (left <= 1 || closed || !wasUnsent(error)) throw failure;
      }
    }
  };
  const explained = async (
    error: unknown,
    used: number,
    name: string,
    limitMs?: number,
  ): Promise<MusterError> => {
    const { address, http2 } = endpoints[used] ?? { address: "", http2: undefined };
    const facts = {
      name,
      address,
      tls: connection.tls,
      spoke: http2?.spoke !== false,
      timeoutMs: limitMs,
      closed,
    };
    const failure = await explainFailure(MusterError.from(error), facts);
    if (failure.code === Code.Unavailable && current === used) current = (used + 1) % endpoints.length;
    return failure;
  };
  return {
    get current() {
      return current;
    },
    get spoke() {
      return endpoints.some(({ http2 }) => http2.spoke);
    },
    explained,
    unary(method, signal, ownMs, header, input, contextValues) {
      const limitMs = ownMs ?? timeoutMs;
      return guarded({ name: method.name, limitMs, signal, tries: endpoints.length }, (transport) =>
        transport.unary(method, signal, limitMs, header, input, contextValues),
      );
    },
    async stream(method, signal, ownMs, header, input, contextValues) {
      const used = current;
      const response = await guarded({ name: method.name, limitMs: ownMs, signal, tries: 1 }, (transport) =>
        transport.stream(method, signal, ownMs, header, input, contextValues),
      );
      return {
        ...response,
        message: mapErrors(response.message, (error) => explained(error, used, method.name)),
      };
    },
    close() {
      closed = true;
      for (const { http2 } of endpoints) http2.close();
    },
  };
}

function createEndpoint(address: string, { token, tls }: Connection): Endpoint {
  const http2 = new Http2Connection(address, tls);
  const transport = createGrpcTransport({
    baseUrl: http2.authority,
    sessionManager: http2,
    interceptors: [
      (next) => (request) => {
        if (token !== undefined) request.header.set("authorization", `Bearer ${token}`);
        return next(request);
      },
      traceSubmits(address),
    ],
  });
  return { address, transport, http2 };
}

/** Submits start a trace, or continue the caller's. */
function traceSubmits(address: string): Interceptor {
  return (next) => async (request) => {
    if (request.stream || !isMessage(request.message, SubmitTasksRequestSchema)) return next(request);
    const { tasks } = request.message;
    const submit = {
      types: tasks.map(({ taskType }) => taskType),
      queues: tasks.map(({ queue }) => queue || "default"),
      address,
    };
    return tracedSubmit(
      submit,
      request.header,
      () => next(request),
      ({ message }) =>
        isMessage(message, SubmitTasksResponseSchema) ? message.tasks.map(({ taskId }) => taskId) : [],
      (error) => {
        const { reason, codeName } = MusterError.from(error);
        return { status: constantCase(codeName), reason };
      },
    );
  };
}

/** Name of a code as gRPC writes it: `InvalidArgument` is INVALID_ARGUMENT. */
function constantCase(name: string): string {
  // The specification spells this one with two letters l.
  return name === "Canceled" ? "CANCELLED" : name.replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase();
}

async function* mapErrors<T>(
  source: AsyncIterable<T>,
  convert: (error: unknown) => Promise<Error>,
): AsyncIterable<T> {
  try {
    yield* source;
  } catch (error) {
    throw await convert(error);
  }
}
