/** Version of the worker protocol that this package describes; Hello and Welcome carry it. */
export const PROTOCOL_VERSION = 1;

/** Domain of every `google.rpc.ErrorInfo` that Muster sends. */
export const ERROR_DOMAIN = "muster";

/** Trailer in which gRPC carries an encoded `google.rpc.Status` (gRPC's richer error model). */
export const STATUS_DETAILS_TRAILER = "grpc-status-details-bin";

/** Stable reasons of `google.rpc.ErrorInfo`. */
export const ErrorReason = {
  PROTOCOL_VERSION_MISMATCH: "PROTOCOL_VERSION_MISMATCH",
  INVALID_TOKEN: "INVALID_TOKEN",
  WORKER_SUPERSEDED: "WORKER_SUPERSEDED",
  ID_CONTESTED: "ID_CONTESTED",
  INVALID_HELLO: "INVALID_HELLO",
  HELLO_TIMEOUT: "HELLO_TIMEOUT",
  INVALID_MESSAGE: "INVALID_MESSAGE",
  WORKER_LOST: "WORKER_LOST",
  WORKER_NOT_FOUND: "WORKER_NOT_FOUND",
  WORKER_GONE: "WORKER_GONE",
  WORKER_NOT_CONNECTED: "WORKER_NOT_CONNECTED",
  PAYLOAD_TOO_LARGE: "PAYLOAD_TOO_LARGE",
  RESULT_TOO_LARGE: "RESULT_TOO_LARGE",
  TOO_MANY_TASKS: "TOO_MANY_TASKS",
  INVALID_TASK: "INVALID_TASK",
  INVALID_REQUEST: "INVALID_REQUEST",
  INVALID_PAGE_TOKEN: "INVALID_PAGE_TOKEN",
  QUEUE_FULL: "QUEUE_FULL",
  QUEUE_NOT_FOUND: "QUEUE_NOT_FOUND",
  TASK_NOT_FOUND: "TASK_NOT_FOUND",
  TASK_ALREADY_ENDED: "TASK_ALREADY_ENDED",
  TASK_NOT_RETRYABLE: "TASK_NOT_RETRYABLE",
  DATABASE_UNAVAILABLE: "DATABASE_UNAVAILABLE",
  SCHEDULER_STOPPING: "SCHEDULER_STOPPING",
  NOT_IMPLEMENTED: "NOT_IMPLEMENTED",
  INTERNAL: "INTERNAL",
} as const;

/** One of the stable reasons of `google.rpc.ErrorInfo`. */
export type ErrorReason = (typeof ErrorReason)[keyof typeof ErrorReason];
