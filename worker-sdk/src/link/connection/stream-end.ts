/** Interprets the end of a stream. */
import { fromBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import type { StatusObject } from "@grpc/grpc-js";
import { status as Status } from "@grpc/grpc-js";
import {
  ERROR_DOMAIN,
  ErrorInfoSchema,
  RetryInfoSchema,
  STATUS_DETAILS_TRAILER,
  StatusSchema,
} from "@muster/protocol";
import { msFromDuration } from "../../duration.ts";

/** How a stream ended. */
export interface StreamEnd {
  /** gRPC status name, for example `UNAVAILABLE`. */
  readonly status: string;
  /** Stable reason of the scheduler; empty when it gave none. */
  readonly reason: string;
  readonly message: string;
  /** Wait before the next dial that the scheduler asks for, milliseconds. */
  readonly retryAfterMs?: number | undefined;
  /** True when another dial would end in the same way. */
  readonly verdict: boolean;
}

const VERDICTS: ReadonlySet<Status> = new Set([
  Status.UNAUTHENTICATED,
  Status.PERMISSION_DENIED,
  Status.FAILED_PRECONDITION,
  Status.INVALID_ARGUMENT,
  Status.UNIMPLEMENTED,
]);

/** Reads the final status of a stream, with `google.rpc.ErrorInfo` and `RetryInfo` where it has them. */
export function readStreamEnd(status: Pick<StatusObject, "code" | "details" | "metadata">): StreamEnd {
  return {
    status: Status[status.code] ?? `CODE_${status.code}`,
    message: status.details,
    verdict: VERDICTS.has(status.code),
    ...readDetails(status),
  };
}

/** Describes in one line how a stream ended, for logs and Hello.last_error. */
export function describeStreamEnd(end: StreamEnd): string {
  return `${end.status}${end.reason === "" ? "" : ` (${end.reason})`}${end.message === "" ? "" : `: ${end.message}`}`;
}

function readDetails({
  metadata,
}: Pick<StatusObject, "metadata">): Pick<StreamEnd, "reason" | "retryAfterMs"> {
  const [bytes] = metadata.get(STATUS_DETAILS_TRAILER);
  if (bytes === undefined || typeof bytes === "string") return { reason: "" };
  try {
    let reason = "";
    let retryAfterMs: number | undefined;
    for (const detail of fromBinary(StatusSchema, bytes).details) {
      const info = anyUnpack(detail, ErrorInfoSchema);
      if (reason === "" && info?.domain === ERROR_DOMAIN) reason = info.reason;
      retryAfterMs ??= msFromDuration(anyUnpack(detail, RetryInfoSchema)?.retryDelay);
    }
    return { reason, retryAfterMs };
  } catch (error) {
    // A proxy may write anything there; the status itself still counts.
    return { reason: `unreadable details: ${error instanceof Error ? error.message : String(error)}` };
  }
}
