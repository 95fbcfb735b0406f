// First: nothing else of this package is evaluated on a Node that lacks what it uses.
import "./node-version.ts";

export type { ConnectionOptions, TlsOptions } from "./connection-options.ts";
export type { PhaseOptions, ProgressCount, TaskContext, TaskWarning } from "./context.ts";
export {
  CancelledError,
  DrainError,
  HttpListenError,
  LinkError,
  NonRetryableError,
  PreflightError,
  RetryableError,
  RevokedError,
  StartupTimeoutError,
  SupersededError,
  TimedOutError,
  VerdictError,
  WorkerStartedError,
  WorkerStoppedError,
} from "./errors.ts";
export type { Logger, LogLevel, LogLine, TaskLog } from "./logger.ts";
export type { FatalInfo, WorkerOptions } from "./options.ts";
export { OptionsError } from "./options-error.ts";
export type { LoadRequest, ResourceLoader } from "./resource-loaders.ts";
export type { Resources } from "./resources.ts";
export type { StartupReporter } from "./startup.ts";
export {
  defineTask,
  type FailureClassification,
  type Handler,
  type PayloadOf,
  type TaskDefinition,
  type TaskDefinitions,
} from "./task-definition.ts";
export { type StopOptions, Worker, type WorkerStatus } from "./worker.ts";
