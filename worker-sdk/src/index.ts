/**
 * Workers: their options, what handlers get, the errors that they throw.
 *
 * @module @muster/worker
 */

// First: nothing else of this package is evaluated on a Node that lacks what it uses.
import "./node-version.ts";

export type {
  Artifact,
  ArtifactContent,
  ArtifactDraft,
  ArtifactFile,
  ArtifactOptions,
  ArtifactWriter,
} from "./artifacts/artifact.ts";
export type {
  ChildOptions,
  ChildRunOptions,
  RunChild,
  SubmitChild,
} from "./attempt/children/child-options.ts";
export type {
  EarlierProgress,
  Expectation,
  TaskContext,
  TaskWarning,
} from "./attempt/context.ts";
export type { PhaseLimits, PhaseOptions, RunningPhase } from "./attempt/phases/phase-options.ts";
export type { ProgressCount } from "./attempt/reports/progress-count.ts";
export type { StepOptions } from "./attempt/reports/step-options.ts";
export type { ReleasedSlot } from "./attempt/slots/released-slot.ts";
export type { BatchOptions } from "./batching/batch-options.ts";
export { type ContractOptions, defineTask } from "./contract/define-task.ts";
export { TaskContract } from "./contract/task-contract.ts";
export {
  BudgetExhaustedError,
  CancelledError,
  CheckpointError,
  DrainError,
  type FailureFacts,
  HttpListenError,
  IsolationError,
  KeyPauseError,
  LifespanError,
  LinkError,
  NonRetryableError,
  type NonRetryableErrorOptions,
  OutOfMemoryError,
  PreflightError,
  RetryableError,
  type RetryableErrorOptions,
  RevokedError,
  StartupTimeoutError,
  SupersededError,
  TimedOutError,
  VerdictError,
  WorkerStartedError,
  WorkerStoppedError,
} from "./errors.ts";
export type { IsolateOptions } from "./isolate/isolate-options.ts";
export type {
  Lifespan,
  LifespanScope,
  Middleware,
  TaskLifespan,
  TaskLifespanScope,
  Teardown,
} from "./lifespan/lifespan.ts";
export type { Logger, LogLevel, LogLine, TaskLog } from "./logging/logger.ts";
export type { Backpressure, ProbeContext, Watermarks } from "./options/backpressure.ts";
export type { ConnectionOptions, TlsOptions } from "./options/connection-options.ts";
export { OptionsError } from "./options/options-error.ts";
export type { ScratchOptions } from "./options/scratch-options.ts";
export type { TaskLogOptions } from "./options/task-log-options.ts";
export type { AdaptiveConcurrency } from "./options/task-types/adaptive-concurrency.ts";
export type { FailureClassification } from "./options/task-types/failure-classification.ts";
export type { HandleBatchOptions, HandleOptions } from "./options/task-types/handlers.ts";
export type { PhaseDeclaration, PhaseDeclarations } from "./options/task-types/phase-declarations.ts";
export type {
  Handler,
  PayloadOf,
  TaskDefinition,
  TaskDefinitions,
} from "./options/task-types/task-definition.ts";
export type { FatalInfo, WorkerOptions } from "./options/worker-options.ts";
export type { PayloadCodec } from "./payloads/codec.ts";
export type { ClaimCheckOptions, PayloadOptions } from "./payloads/payload-options.ts";
export type { LoadRequest, ResourceLoader } from "./resources/resource-loaders.ts";
export type { Resources } from "./resources/resources.ts";
export type { StartupReporter } from "./run/startup.ts";
export type { ObjectStore, StoredObject } from "./storage/object-store.ts";
export { type StopOptions, Worker, type WorkerStatus } from "./worker.ts";
