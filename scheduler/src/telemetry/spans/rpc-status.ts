/** The status of a call for its span. */
import { DatabaseUnavailableError, Refusal, type RefusalKind, UnstorableError } from "../../domain/errors.ts";

/** Name of each refusal's gRPC code. */
const STATUS: Readonly<Record<RefusalKind, string>> = {
  invalid: "INVALID_ARGUMENT",
  not_found: "NOT_FOUND",
  precondition: "FAILED_PRECONDITION",
  unauthenticated: "UNAUTHENTICATED",
  aborted: "ABORTED",
  exhausted: "RESOURCE_EXHAUSTED",
  unavailable: "UNAVAILABLE",
  unimplemented: "UNIMPLEMENTED",
  forbidden: "PERMISSION_DENIED",
  deadline: "DEADLINE_EXCEEDED",
};

/** The codes that are a server's error by the conventions; with the others, the caller's request was at fault. */
const SERVER_ERRORS: ReadonlySet<string> = new Set([
  "UNKNOWN",
  "DEADLINE_EXCEEDED",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
]);

/** How a call ended that threw `error`. */
export interface RpcStatus {
  /** Name of its gRPC code. */
  readonly code: string;
  /** Stable reason of a refusal. */
  readonly reason: string | undefined;
  readonly isServerError: boolean;
}

export function rpcStatus(error: unknown): RpcStatus {
  const code = codeOf(error);
  const reason = error instanceof Refusal ? error.reason : undefined;
  return { code, reason, isServerError: SERVER_ERRORS.has(code) };
}

function codeOf(error: unknown): string {
  if (error instanceof Refusal) return STATUS[error.kind];
  if (error instanceof UnstorableError) return "INVALID_ARGUMENT";
  return error instanceof DatabaseUnavailableError ? "UNAVAILABLE" : "INTERNAL";
}
