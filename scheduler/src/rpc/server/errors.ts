/** Converts errors to gRPC statuses. */
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
  forbidden: Code.PermissionDenied,
  aborted: Code.Aborted,
  exhausted: Code.ResourceExhausted,
  unavailable: Code.Unavailable,
  unimplemented: Code.Unimplemented,
  deadline: Code.DeadlineExceeded,
};

/** The message of an internal error; its cause goes to the log alone. */
export const INTERNAL = "internal error; the scheduler's log has the cause";

/**
 * The one map from errors to answers. A refusal keeps its code and message; an absent database is UNAVAILABLE; every
 * other error is INTERNAL without its message, which goes to the log.
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
  const status = toStatus(error);
  const metadata = new Metadata();
  if (status.details.length > 0) {
    metadata.set(STATUS_DETAILS_TRAILER, Buffer.from(toBinary(StatusSchema, status)));
  }
  return Object.assign(new Error(status.message), { code: status.code, details: status.message, metadata });
}

/** The same as a message, for a stream whose requests are answered each by itself. */
export function toStatus(error: unknown): Status {
  const refusal = toRefusal(error);
  if (!refusal) return create(StatusSchema, { code: Code.Internal, message: INTERNAL });
  return outgoingStatus(CODES[refusal.kind], outgoing(refusal));
}

/** True for an internal error, which belongs in the log. */
export function isInternal(error: unknown): boolean {
  return !(error instanceof ConnectError) && toRefusal(error) === undefined;
}

/** The refusal that an error is answered with; undefined for an internal error. */
export function toRefusal(error: unknown): Refusal | undefined {
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

/** Errors of the Connect library may quote the request without bounds. */
function presentable(error: ConnectError): ConnectError {
  const message = outgoingText(error.rawMessage);
  if (message === error.rawMessage) return error;
  const bounded = new ConnectError(message, error.code, error.metadata, undefined, error.cause);
  bounded.details = error.details;
  return bounded;
}
