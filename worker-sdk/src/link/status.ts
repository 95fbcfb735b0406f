import { fromBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import type { StatusObject } from "@grpc/grpc-js";
import { status as Status } from "@grpc/grpc-js";
import { ERROR_DOMAIN, ErrorInfoSchema, STATUS_DETAILS_TRAILER, StatusSchema } from "@muster/protocol";

/** How a stream ended. */
export interface StreamEnd {
  /** gRPC status name, for example `UNAVAILABLE`. */
  readonly status: string;
  /** Stable reason of the scheduler; empty when it gave none. */
  readonly reason: string;
  readonly message: string;
  /** Dialling again would not change it. */
  readonly verdict: boolean;
}

const VERDICTS: ReadonlySet<Status> = new Set([
  Status.UNAUTHENTICATED,
  Status.PERMISSION_DENIED,
  Status.FAILED_PRECONDITION,
  Status.INVALID_ARGUMENT,
  Status.UNIMPLEMENTED,
]);

/** Reads a stream's final status, with `google.rpc.ErrorInfo` when it carries one. */
export function readStreamEnd(status: Pick<StatusObject, "code" | "details" | "metadata">): StreamEnd {
  return {
    status: Status[status.code] ?? `CODE_${status.code}`,
    reason: readReason(status),
    message: status.details,
    verdict: VERDICTS.has(status.code),
  };
}

/** One line about how a stream ended, for logs and Hello.last_error. */
export function describeStreamEnd(end: StreamEnd): string {
  return `${end.status}${end.reason === "" ? "" : ` (${end.reason})`}${end.message === "" ? "" : `: ${end.message}`}`;
}

function readReason({ metadata }: Pick<StatusObject, "metadata">): string {
  const [bytes] = metadata.get(STATUS_DETAILS_TRAILER);
  if (bytes === undefined || typeof bytes === "string") return "";
  try {
    for (const detail of fromBinary(StatusSchema, bytes).details) {
      const info = anyUnpack(detail, ErrorInfoSchema);
      if (info?.domain === ERROR_DOMAIN) return info.reason;
    }
  } catch (error) {
    // A proxy may put anything there; the status itself still counts.
    return `unreadable details: ${error instanceof Error ? error.message : String(error)}`;
  }
  return "";
}
