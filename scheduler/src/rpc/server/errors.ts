import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { Metadata, type ServerErrorResponse } from "@grpc/grpc-js";
import { STATUS_DETAILS_TRAILER, type Status, StatusSchema } from "@muster/protocol";
import { DatabaseUnavailableError, Refusal, type RefusalKind, UnstorableError } from "../../domain/errors.ts";
import { databaseUnavailable } from "../../domain/refusals.ts";
import { outgoing, outgoingStatus, outgoingText } from "./outgoing.ts";

/** gRPC code of each kind of refusal; Connect's codes have the same numbers. */
const CODES: Readonly<Record<RefusalKind, Code>> = {
  invalid: Code.InvalidArgument,
  not_found: Code.NotFound,
  precondition: Code.FailedPrecondition,
  unauthenticated: Code.Unauthenticated,
  aborted: Code.Aborted,
  exhausted: Code.ResourceExhausted,
  unavailable: Code.Unavailable,
  unimplemented: Code.Unimplemented,
  deadline: Code.DeadlineExceeded,
};

/** All that a caller is told of a fault of ours. */
export const INTERNAL = "internal error; the scheduler's log has the cause";

/**
 * The one map from what is thrown to what a caller is told. Refusals say what they say; a database that is
 * away is UNAVAILABLE; everything else is INTERNAL without its inner words, which go to the log.
 */
export function toConnectError(error: unknown): ConnectError {
  if (error instanceof ConnectError) return presentable(error);
  const refusal = toRefusal(error);
  if (!refusal) return new ConnectError(INTERNAL, Code.Internal);
  const { message, details } = outgoing(refusal);
  const connectError = new ConnectError(message, CODES[refusal.kind]);
  connectError.details = [...details];
  return connectError;
}

/** The same for a grpc-js server. */
export function toGrpcError(error: unknown): ServerErrorResponse & { metadata: Metadata } {
  const told = toStatus(error);
  const metadata = new Metadata();
  if (told.details.length > 0) {
    metadata.set(STATUS_DETAILS_TRAILER, Buffer.from(toBinary(StatusSchema, told)));
  }
  return Object.assign(new Error(told.message), { code: told.code, details: told.message, metadata });
}

/** The same as a message, for a stream whose requests are answered each by itself. */
export function toStatus(error: unknown): Status {
  const refusal = toRefusal(error);
  if (!refusal) return create(StatusSchema, { code: Code.Internal, message: INTERNAL });
  return outgoingStatus(CODES[refusal.kind], outgoing(refusal));
}

/** True when the error is a fault of ours that belongs in the log. */
export function isInternal(error: unknown): boolean {
  return !(error instanceof ConnectError) && toRefusal(error) === undefined;
}

function toRefusal(error: unknown): Refusal | undefined {
  if (error instanceof Refusal) return error;
  if (error instanceof UnstorableError) {
    const message = `${error.message}: send other values; nothing was applied`;
    return new Refusal("invalid", "INVALID_REQUEST", message, { cause: error });
  }
  if (!(error instanceof DatabaseUnavailableError)) return undefined;
  const consequence = error.outcomeUnknown
    ? "it is not known whether the request was applied; try again, with unique keys when submitting"
    : "nothing was applied; try again";
  return databaseUnavailable(error, consequence);
}

/** What the Connect library refuses by itself may quote the request. */
function presentable(error: ConnectError): ConnectError {
  const message = outgoingText(error.rawMessage);
  if (message === error.rawMessage) return error;
  const told = new ConnectError(message, error.code, error.metadata, undefined, error.cause);
  told.details = error.details;
  return told;
}
