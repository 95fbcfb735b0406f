import { isMessage } from "@bufbuild/protobuf";
import type { Interceptor, Transport } from "@connectrpc/connect";
import { Code } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { SubmitTasksRequestSchema, SubmitTasksResponseSchema } from "@muster/protocol";
import type { Connection } from "../connection-options.ts";
import { tracedSubmit } from "../tracing/submit-trace.ts";
import { MusterError } from "./errors.ts";

/** A transport over every address of a connection, whose errors are MusterErrors. */
export interface FailoverTransport extends Transport {
  /** Number of the address in use. */
  readonly current: number;
  /** A failure at an address as a MusterError; when it is unavailable and still in use, the next one is. */
  failed(error: unknown, used: number): MusterError;
  /** Ends every connection; calls in flight fail. */
  close(): void;
}

interface Endpoint {
  readonly transport: Transport;
  readonly sessions: Http2SessionManager;
}

/**
 * Sends every call to one address until a call finds it unavailable, then moves on to the next. The
 * failed call itself is not repeated here: whether that is safe is the caller's to know.
 */
export function createFailoverTransport(connection: Connection): FailoverTransport {
  const endpoints = connection.addresses.map((address) => createEndpoint(address, connection));
  let current = 0;
  const guarded = async <T>(call: (transport: Transport) => Promise<T>): Promise<T> => {
    const used = current;
    try {
      const endpoint = endpoints[used];
      if (endpoint === undefined) throw new RangeError(`no scheduler address number ${used}`);
      return await call(endpoint.transport);
    } catch (error) {
      throw failed(error, used);
    }
  };
  const failed = (error: unknown, used: number): MusterError => {
    const failure = MusterError.from(error);
    if (failure.code === Code.Unavailable && current === used) current = (used + 1) % endpoints.length;
    return failure;
  };
  return {
    get current() {
      return current;
    },
    failed,
    unary: (method, signal, timeoutMs, header, input, contextValues) =>
      guarded((transport) => transport.unary(method, signal, timeoutMs, header, input, contextValues)),
    async stream(method, signal, timeoutMs, header, input, contextValues) {
      const used = current;
      const response = await guarded((transport) =>
        transport.stream(method, signal, timeoutMs, header, input, contextValues),
      );
      return { ...response, message: mapErrors(response.message, (error) => failed(error, used)) };
    },
    close() {
      for (const { sessions } of endpoints) sessions.abort();
    },
  };
}

function createEndpoint(address: string, { token, tls }: Connection): Endpoint {
  const baseUrl = `${tls === undefined ? "http" : "https"}://${address}`;
  const sessions = new Http2SessionManager(
    baseUrl,
    // Long enough for a watch of an hour to cost nothing, short enough to notice a half-open connection.
    { pingIntervalMs: 20_000, pingTimeoutMs: 10_000 },
    tls === undefined
      ? {}
      : {
          ...(tls.ca === undefined ? {} : { ca: tls.ca }),
          ...(tls.cert === undefined ? {} : { cert: tls.cert }),
          ...(tls.key === undefined ? {} : { key: tls.key }),
        },
  );
  const transport = createGrpcTransport({
    baseUrl,
    sessionManager: sessions,
    interceptors: [
      (next) => (request) => {
        if (token !== undefined) request.header.set("authorization", `Bearer ${token}`);
        return next(request);
      },
      traceSubmits(address),
    ],
  });
  return { transport, sessions };
}

/** Submits begin a trace, or go on with the caller's. */
function traceSubmits(address: string): Interceptor {
  return (next) => async (request) => {
    if (request.stream || !isMessage(request.message, SubmitTasksRequestSchema)) return next(request);
    const { tasks } = request.message;
    const submit = {
      types: tasks.map(({ type }) => type),
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
        return reason || codeName;
      },
    );
  };
}

async function* mapErrors<T>(source: AsyncIterable<T>, convert: (error: unknown) => Error): AsyncIterable<T> {
  try {
    yield* source;
  } catch (error) {
    throw convert(error);
  }
}
