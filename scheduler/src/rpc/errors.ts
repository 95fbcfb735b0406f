import { create, type DescMessage, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { anyPack, durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { Metadata, type ServerErrorResponse } from "@grpc/grpc-js";
import {
  BadRequestSchema,
  ERROR_DOMAIN,
  ErrorInfoSchema,
  RetryInfoSchema,
  STATUS_DETAILS_TRAILER,
  type Status,
  StatusSchema,
} from "@muster/protocol";
import { DatabaseUnavailableError, Refusal, type RefusalKind } from "../domain/errors.ts";

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

const INTERNAL = "internal error; the scheduler's log has the cause";

/** Callers are asked to wait this long while the database is away, milliseconds. */
const DATABASE_RETRY_MS = 1_000;

/**
 * The one map from what is thrown to what a caller is told. Refusals say what they say; a database that is
 * away is UNAVAILABLE; everything else is INTERNAL without its inner words, which go to the log.
 */
export function toConnectError(error: unknown): ConnectError {
  if (error instanceof ConnectError) return error;
  const refusal = toRefusal(error);
  if (!refusal) return new ConnectError(INTERNAL, Code.Internal);
  const connectError = new ConnectError(refusal.message, CODES[refusal.kind]);
  connectError.details = details(refusal);
  return connectError;
}

/** The same for a grpc-js server. */
export function toGrpcError(error: unknown): ServerErrorResponse & { metadata: Metadata } {
  const { code, message, details } = toStatus(error);
  const metadata = new Metadata();
  if (details.length > 0) {
    const encoded = toBinary(StatusSchema, create(StatusSchema, { code, message, details }));
    metadata.set(STATUS_DETAILS_TRAILER, Buffer.from(encoded));
  }
  return Object.assign(new Error(message), { code, details: message, metadata });
}

/** The same as a message, for a stream whose requests are answered each by itself. */
export function toStatus(error: unknown): Status {
  const refusal = toRefusal(error);
  if (!refusal) return create(StatusSchema, { code: Code.Internal, message: INTERNAL });
  return create(StatusSchema, {
    code: CODES[refusal.kind],
    message: refusal.message,
    details: details(refusal).map(({ desc, value }) => anyPack(desc, create(desc, value))),
  });
}

/** True when the error is a fault of ours that belongs in the log. */
export function isInternal(error: unknown): boolean {
  return !(error instanceof ConnectError) && toRefusal(error) === undefined;
}

function toRefusal(error: unknown): Refusal | undefined {
  if (error instanceof Refusal) return error;
  if (!(error instanceof DatabaseUnavailableError)) return undefined;
  const consequence = error.outcomeUnknown
    ? "it is not known whether the request was applied; try again, with unique keys when submitting"
    : "nothing was applied; try again";
  return new Refusal("unavailable", "DATABASE_UNAVAILABLE", `${error.message}: ${consequence}`, {
    retryDelayMs: DATABASE_RETRY_MS,
    cause: error,
  });
}

function details(refusal: Refusal): { desc: DescMessage; value: MessageInitShape<DescMessage> }[] {
  const info = create(ErrorInfoSchema, { reason: refusal.reason, domain: ERROR_DOMAIN });
  const list: { desc: DescMessage; value: MessageInitShape<DescMessage> }[] = [
    { desc: ErrorInfoSchema, value: info },
  ];
  if (refusal.retryDelayMs !== undefined) {
    list.push({
      desc: RetryInfoSchema,
      value: create(RetryInfoSchema, { retryDelay: durationFromMs(refusal.retryDelayMs) }),
    });
  }
  if (refusal.violations.length > 0) {
    const fieldViolations = refusal.violations.map(({ field, description }) => ({ field, description }));
    list.push({ desc: BadRequestSchema, value: create(BadRequestSchema, { fieldViolations }) });
  }
  return list;
}
