// First: nothing else of this package is evaluated on a Node that lacks what it uses.
import "../node-version.ts";

export type { ConnectionOptions, TlsOptions } from "../options/connection-options.ts";
export { OptionsError } from "../options/options-error.ts";
export { type CallOptions, Client, type ClientOptions, type SubmitCallOptions } from "./client.ts";
export { ClientReason, MusterError, TaskCancelledError, TaskFailedError, type Violation } from "./errors.ts";
export type {
  ConcurrencyKey,
  RetryOptions,
  SubmitOptions,
  SubmitSpec,
  UniqueOptions,
} from "./submit-spec.ts";
export {
  isEnded,
  type KeyConflict,
  outputOf,
  TaskHandle,
  type TaskUpdate,
  type WaitOptions,
} from "./task-handle.ts";
