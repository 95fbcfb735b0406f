/**
 * Producers: submit tasks, follow them, read their results.
 *
 * @module @muster/worker/client
 */

// First: nothing else of this package is evaluated on a Node that lacks what it uses.
import "../node-version.ts";

export type {
  Plain,
  PlainAttempt,
  PlainContent,
  PlainFailure,
  PlainStep,
  PlainTask,
  TaskStateName,
} from "@muster/protocol";
export { InvalidPayloadError, InvalidResultError } from "../contract/contract-errors.ts";
export type { SchemaIssue } from "../contract/schema.ts";
export type { Random } from "../network/backoff.ts";
export type { ConnectionOptions, TlsOptions } from "../options/connection-options.ts";
export { OptionsError } from "../options/options-error.ts";
export { ENCODED_TYPE, type Envelope, type EnvelopeHeader, readEnvelope } from "../payloads/envelope.ts";
export { PayloadError, type PayloadErrorCode } from "../payloads/payload-error.ts";
export type { PayloadOptions } from "../payloads/payload-options.ts";
export { BatchHandle, type BatchOptions } from "./batch-handle.ts";
export type { BulkChange, BulkChangeOptions, BulkFilter, BulkProgress } from "./changes/bulk-changes.ts";
export type { RevokeOptions, TaskChanges } from "./changes/task-changes.ts";
export { Client } from "./client.ts";
export type { ClientOptions } from "./client-options.ts";
export type {
  BatchFilter,
  CallOptions,
  FindOptions,
  RetryTaskOptions,
  RunNowOptions,
  SubmitCallOptions,
  WaitOptions,
} from "./connection/call-options.ts";
export {
  ClientReason,
  MusterError,
  type MusterErrorOptions,
  TaskCancelledError,
  TaskFailedError,
  type Violation,
} from "./errors.ts";
export type { StoredHandle } from "./follow/stored-handle.ts";
export { TaskHandle } from "./follow/task-handle.ts";
export type { LineLevel, LogEntry, LogsOptions } from "./follow/task-logs.ts";
export { isEnded } from "./follow/task-result.ts";
export type { TaskMessages, TaskOutput, TaskUpdate } from "./follow/task-watch.ts";
export type { ScheduleOptions } from "./schedules/schedule-spec.ts";
export { Schedules } from "./schedules/schedules.ts";
export type { FailureOptions } from "./statistics/failures.ts";
export type { MetricOptions } from "./statistics/metric-options.ts";
export type { ConcurrencyOutcome, KeyConflict, SubmitWarning } from "./submit/submit-outcome.ts";
export type {
  CircuitOptions,
  ConcurrencyKey,
  CostGrowth,
  CostRaise,
  FairnessKey,
  OutOfMemoryOptions,
  RateLimit,
  RetryOptions,
  SubmitOptions,
  SubmitSpec,
  TaskDependency,
  UniqueOptions,
} from "./submit/submit-spec.ts";
