/** The types of service handlers. */
import type { DescMethod, DescService, MessageInitShape, MessageShape } from "@bufbuild/protobuf";

/** Context of a call, the same for both servers. */
export interface CallContext {
  /** Aborts when the caller is gone. */
  readonly signal: AbortSignal;
  readonly requestHeader: Headers;
}

type Handler<M> = M extends { methodKind: "unary"; input: infer I; output: infer O }
  ? (request: ShapeOf<I>, context: CallContext) => Promise<InitOf<O>>
  : M extends { methodKind: "server_streaming"; input: infer I; output: infer O }
    ? (request: ShapeOf<I>, context: CallContext) => AsyncIterable<InitOf<O>>
    : never;
type ShapeOf<D> = D extends DescMethod["input"] ? MessageShape<D> : never;
type InitOf<D> = D extends DescMethod["output"] ? MessageInitShape<D> : never;

/** Every unary and server-streaming method of a service, written once and mounted on both servers. */
export type Handlers<S extends DescService> = {
  [K in keyof S["method"] as Handler<S["method"][K]> extends never ? never : K]: Handler<S["method"][K]>;
};
