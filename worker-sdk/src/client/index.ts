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
export type { BulkChange, BulkChangeOptions, BulkFilter, BulkProgress } from "./bulk-changes.ts";
export type {
  BatchFilter,
  CallOptions,
  FindOptions,
  RetryTaskOptions,
  RunNowOptions,
  SubmitCallOptions,
  WaitOptions,
} from "./call-options.ts";
export { Client } from "./client.ts";
export type { ClientOptions } from "./client-options.ts";
export {
  ClientReason,
  MusterError,
  type MusterErrorOptions,
  TaskCancelledError,
  TaskFailedError,
  type Violation,
} from "./errors.ts";
export type { FailureOptions } from "./failures.ts";
export type { MetricOptions } from "./metric-options.ts";
export type { ScheduleOptions } from "./schedule-spec.ts";
export { Schedules } from "./schedules.ts";
export type { StoredHandle } from "./stored-handle.ts";
export type { ConcurrencyOutcome, KeyConflict, SubmitWarning } from "./submit-outcome.ts";
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
} from "./submit-spec.ts";
export type { RevokeOptions, TaskChanges } from "./task-changes.ts";
export { TaskHandle } from "./task-handle.ts";
export type { LineLevel, LogEntry, LogsOptions } from "./task-logs.ts";
export { isEnded } from "./task-result.ts";
export type { TaskMessages, TaskOutput, TaskUpdate } from "./task-watch.ts";
