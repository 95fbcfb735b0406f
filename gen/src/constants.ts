/** Version of the worker protocol that this package describes; Hello and Welcome carry it. */
export const PROTOCOL_VERSION = 1;

/** Largest value of a checkpoint, bytes. */
export const MAX_CHECKPOINT_BYTES = 256 * 1024;

/** Largest WorkerStack, bytes: schedulers pass it to each other as base64 of less than 64 KiB. */
export const MAX_STACK_BYTES = 45 * 1024;

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
  INVALID_CERTIFICATE: "INVALID_CERTIFICATE",
  TOO_MANY_CONNECTIONS: "TOO_MANY_CONNECTIONS",
  INVALID_HELLO: "INVALID_HELLO",
  HELLO_TIMEOUT: "HELLO_TIMEOUT",
  INVALID_MESSAGE: "INVALID_MESSAGE",
  WORKER_LOST: "WORKER_LOST",
  WORKER_NOT_FOUND: "WORKER_NOT_FOUND",
  WORKER_GONE: "WORKER_GONE",
  WORKER_NOT_CONNECTED: "WORKER_NOT_CONNECTED",
  WORKER_NOT_SUPERVISED: "WORKER_NOT_SUPERVISED",
  SUPERVISOR_SILENT: "SUPERVISOR_SILENT",
  STACKS_NOT_SUPPORTED: "STACKS_NOT_SUPPORTED",
  STACKS_REFUSED: "STACKS_REFUSED",
  STACK_NOT_ANSWERED: "STACK_NOT_ANSWERED",
  TOO_MANY_STACKS: "TOO_MANY_STACKS",
  PAYLOAD_TOO_LARGE: "PAYLOAD_TOO_LARGE",
  RESULT_TOO_LARGE: "RESULT_TOO_LARGE",
  TOO_MANY_TASKS: "TOO_MANY_TASKS",
  INVALID_TASK: "INVALID_TASK",
  INVALID_REQUEST: "INVALID_REQUEST",
  INVALID_PAGE_TOKEN: "INVALID_PAGE_TOKEN",
  QUEUE_FULL: "QUEUE_FULL",
  QUEUE_NOT_FOUND: "QUEUE_NOT_FOUND",
  KEY_NOT_FOUND: "KEY_NOT_FOUND",
  POOL_NOT_FOUND: "POOL_NOT_FOUND",
  POOL_BEING_DELETED: "POOL_BEING_DELETED",
  TOO_MANY_POOLS: "TOO_MANY_POOLS",
  LAUNCHER_SUPERSEDED: "LAUNCHER_SUPERSEDED",
  LAUNCHER_SILENT: "LAUNCHER_SILENT",
  SCHEDULE_NOT_FOUND: "SCHEDULE_NOT_FOUND",
  SCHEDULE_OVERLAPS: "SCHEDULE_OVERLAPS",
  TASK_NOT_FOUND: "TASK_NOT_FOUND",
  TASK_ALREADY_ENDED: "TASK_ALREADY_ENDED",
  TASK_NOT_RETRYABLE: "TASK_NOT_RETRYABLE",
  TASK_HELD: "TASK_HELD",
  STEP_NOT_FAILED: "STEP_NOT_FAILED",
  TASK_NOT_EDITABLE: "TASK_NOT_EDITABLE",
  TASK_NOT_HOLDABLE: "TASK_NOT_HOLDABLE",
  TASK_NOT_REVOCABLE: "TASK_NOT_REVOCABLE",
  TASK_NOT_RUNNING: "TASK_NOT_RUNNING",
  UNIQUE_KEY_HELD: "UNIQUE_KEY_HELD",
  PREDECESSOR_NOT_FOUND: "PREDECESSOR_NOT_FOUND",
  DEPENDENCY_FAILED: "DEPENDENCY_FAILED",
  BATCH_NOT_FOUND: "BATCH_NOT_FOUND",
  BATCH_CLOSED: "BATCH_CLOSED",
  DATABASE_UNAVAILABLE: "DATABASE_UNAVAILABLE",
  SCHEDULER_STOPPING: "SCHEDULER_STOPPING",
  STREAM_AGED: "STREAM_AGED",
  NOT_IMPLEMENTED: "NOT_IMPLEMENTED",
  INTERNAL: "INTERNAL",
} as const;

/** One of the stable reasons of `google.rpc.ErrorInfo`. */
export type ErrorReason = (typeof ErrorReason)[keyof typeof ErrorReason];

/** Named steps of a task. */
export const MAX_STEPS = 32;

/** Largest result of a step as JSON, bytes. */
export const MAX_STEP_RESULT_BYTES = 16 * 1024;

/** All steps of a task together with their results, bytes. */
export const MAX_STEPS_BYTES = 64 * 1024;

/**
 * Attempts of one worker that may be without their slots while their handlers wait, besides those for which it has slots and
 * prefetch. From so many on, tasks of the types that wait there are not assigned to it any more.
 */
export const MAX_SLOT_RELEASES = 1_000;

/** Tasks that a report of freed slots names; all of them are counted. */
export const MAX_NAMED_WAITS = 20;

/** Longest text of what a handler waits for, characters. */
export const MAX_WAIT_REASON = 256;
