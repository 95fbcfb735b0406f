import type { DescMessage, DescMethod, DescService, MessageShape } from "@bufbuild/protobuf";
import { fromBinary, toBinary } from "@bufbuild/protobuf";

/** A method in the form that `@grpc/grpc-js` takes for servers and clients. */
export interface GrpcMethodDefinition<I extends DescMessage, O extends DescMessage> {
  /** `/muster.v1.TaskService/GetTask`. */
  readonly path: string;
  /** True when the client streams. */
  readonly requestStream: boolean;
  /** True when the server streams. */
  readonly responseStream: boolean;
  readonly requestSerialize: (message: MessageShape<I>) => Buffer;
  readonly requestDeserialize: (bytes: Buffer) => MessageShape<I>;
  readonly responseSerialize: (message: MessageShape<O>) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => MessageShape<O>;
}

/**
 * Describes one method of a generated service for `@grpc/grpc-js`.
 * The deserializers throw what `@bufbuild/protobuf` throws on malformed bytes.
 */
export function grpcMethodDefinition<I extends DescMessage, O extends DescMessage>(
  method: DescMethod & { input: I; output: O },
): GrpcMethodDefinition<I, O> {
  const kind = method.methodKind;
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    requestStream: kind === "client_streaming" || kind === "bidi_streaming",
    responseStream: kind === "server_streaming" || kind === "bidi_streaming",
    requestSerialize: (message) => encode(method.input, message),
    requestDeserialize: (bytes) => fromBinary(method.input, bytes),
    responseSerialize: (message) => encode(method.output, message),
    responseDeserialize: (bytes) => fromBinary(method.output, bytes),
  };
}

/** Every method of a generated service by its local name, as `grpcMethodDefinition` describes it. */
export function grpcServiceDefinition(
  service: DescService,
): Record<string, GrpcMethodDefinition<DescMessage, DescMessage>> {
  return Object.fromEntries(
    service.methods.map((method) => [method.localName, grpcMethodDefinition(method)]),
  );
}

function encode<T extends DescMessage>(schema: T, message: MessageShape<T>): Buffer {
  const bytes = toBinary(schema, message);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
