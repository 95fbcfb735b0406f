/** Connects service handlers to grpc-js. */
import type { DescMessage, DescMethod, DescService, MessageShape } from "@bufbuild/protobuf";
import { create } from "@bufbuild/protobuf";
import {
  type handleBidiStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  Metadata,
  type MethodDefinition,
  type ServerDuplexStream,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { grpcMethodDefinition } from "@muster/protocol";
import type { Refusal } from "../../domain/errors.ts";
import { invalidMessage } from "../../domain/refusals.ts";
import { Frame } from "../codec/frames.ts";
import type { Calls } from "./calls.ts";
import { isInternal, toGrpcError } from "./errors.ts";
import type { CallContext } from "./handlers.ts";

/** Bytes that are no message of the expected type: the handler refuses them, the server lives on. */
export class Malformed {
  readonly #type: string;
  readonly #cause: unknown;

  constructor(type: string, cause: unknown) {
    this.#type = type;
    this.#cause = cause;
  }

  refusal(): Refusal {
    const why = this.#cause instanceof Error ? this.#cause.message : String(this.#cause);
    return invalidMessage(`the bytes are no valid ${this.#type}: ${why}`);
  }
}

/** A handler as the bridge calls it; the typed tables of handlers.ts fit it method by method. */
export type AnyHandler = (request: never, context: CallContext) => unknown;

/** Functions that the bridge calls. */
export interface BridgeHooks {
  /** @throws Refusal when the caller may not call. */
  readonly authorize: (metadata: Metadata) => void;
  readonly calls: Calls;
}

/** Reads a request of a hot method by itself; undefined when the generated decoder is to read it. */
export type HotReader = (bytes: Uint8Array) => object | undefined;

/**
 * A service in grpc-js's terms; malformed requests arrive as `Malformed`.
 *
 * @param hotReaders By the method's local name.
 */
export function toGrpcService(
  service: DescService,
  calls: Calls,
  hotReaders: Readonly<Record<string, HotReader>> = {},
): ServiceDefinition {
  return Object.fromEntries(
    service.methods.map((method) => [
      method.localName,
      toGrpcMethod(method, calls, hotReaders[method.localName]),
    ]),
  );
}

/** Mounts unary and server-streaming handlers on a grpc-js server. */
export function toGrpcHandlers(
  service: DescService,
  handlers: Readonly<Record<string, AnyHandler>>,
  hooks: BridgeHooks,
): UntypedServiceImplementation {
  const implementation: UntypedServiceImplementation = {};
  for (const method of service.methods) {
    const handler = handlers[method.localName];
    if (!handler) continue;
    if (method.methodKind === "unary") implementation[method.localName] = unary(method, handler, hooks);
    if (method.methodKind === "server_streaming") {
      implementation[method.localName] = serverStreaming(method, handler, hooks);
    }
  }
  return implementation;
}

/** Mounts a stream of both sides. What `serve` throws ends the call. */
export function bidirectional<I, O>(
  name: string,
  hooks: BridgeHooks,
  serve: (call: ServerDuplexStream<I, O>) => void,
  refuse: (call: ServerDuplexStream<I, O>, refusal: unknown) => void = (call, refusal) => {
    call.emit("error", toGrpcError(refusal));
  },
): handleBidiStreamingCall<I, O> {
  return (call) => {
    try {
      hooks.authorize(call.metadata);
    } catch (error) {
      refuse(call, error);
      return;
    }
    try {
      serve(call);
    } catch (error) {
      hooks.calls.report(name, error);
      call.emit("error", toGrpcError(error));
    }
  };
}

function toGrpcMethod(
  method: DescMethod,
  calls: Calls,
  hotReader: HotReader | undefined,
): MethodDefinition<unknown, unknown> {
  const definition = grpcMethodDefinition(method);
  return {
    path: definition.path,
    requestStream: definition.requestStream,
    responseStream: definition.responseStream,
    requestSerialize: (message) => definition.requestSerialize(message as MessageShape<DescMessage>),
    requestDeserialize: (bytes) => {
      try {
        return hotReader?.(bytes) ?? definition.requestDeserialize(bytes);
      } catch (error) {
        return new Malformed(method.input.typeName, error);
      }
    },
    responseSerialize: (message) => {
      if (message instanceof Frame) return message.bytes;
      try {
        return definition.responseSerialize(message as MessageShape<DescMessage>);
      } catch (error) {
        // grpc-js answers INTERNAL, and reports nothing to the scheduler.
        calls.report(method.name, error);
        throw error;
      }
    },
    responseDeserialize: definition.responseDeserialize,
  };
}

type Request = MessageShape<DescMessage> | Malformed;
type Response = MessageShape<DescMessage>;

function unary(
  method: DescMethod,
  handler: AnyHandler,
  hooks: BridgeHooks,
): handleUnaryCall<Request, Response> {
  return (call, callback) => {
    const gone = new AbortController();
    void (async () => {
      try {
        call.on("cancelled", () => gone.abort());
        const request = admit(call.request, call.metadata, hooks);
        const response = await handler(request as never, context(call.metadata, gone.signal));
        callback(null, create(method.output, response as Response));
      } catch (error) {
        if (isInternal(error)) hooks.calls.report(method.name, error);
        callback(toGrpcError(error));
      }
    })();
  };
}

function serverStreaming(
  method: DescMethod,
  handler: AnyHandler,
  hooks: BridgeHooks,
): handleServerStreamingCall<Request, Response> {
  return (call) => {
    const gone = new AbortController();
    void (async () => {
      try {
        call.on("cancelled", () => gone.abort());
        call.on("close", () => gone.abort());
        const request = admit(call.request, call.metadata, hooks);
        // At once: a proxy takes a stream without headers for a server that does not answer.
        call.sendMetadata(new Metadata());
        const responses = handler(
          request as never,
          context(call.metadata, gone.signal),
        ) as AsyncIterable<Response>;
        for await (const response of responses) {
          if (gone.signal.aborted) break;
          if (!call.write(create(method.output, response))) {
            await new Promise<void>((resolve) => {
              call.once("drain", resolve);
              gone.signal.addEventListener("abort", () => resolve(), { once: true });
            });
          }
        }
        call.end();
      } catch (error) {
        if (gone.signal.aborted) return;
        if (isInternal(error)) hooks.calls.report(method.name, error);
        call.emit("error", toGrpcError(error));
      }
    })();
  };
}

function admit(request: Request, metadata: Metadata, hooks: BridgeHooks): MessageShape<DescMessage> {
  hooks.authorize(metadata);
  if (request instanceof Malformed) throw request.refusal();
  return request;
}

function context(metadata: Metadata, signal: AbortSignal): CallContext {
  const requestHeader = new Headers();
  for (const [name, value] of Object.entries(metadata.getMap())) {
    if (typeof value === "string") requestHeader.set(name, value);
  }
  return { signal, requestHeader };
}
