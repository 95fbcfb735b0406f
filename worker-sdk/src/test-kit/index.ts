/** `@muster/worker/testing`: tools for the tests of workers. Nothing in production imports it. */

// First: nothing else of this package is evaluated on a Node that lacks what it uses.
import "../node-version.ts";

export type {
  CancelOptions,
  LocalRun,
  PausedKey,
  ProgressReport,
  RunEvent,
  RunFailure,
  RunOutcome,
} from "../local/local-run.ts";
export type { LocalTaskOptions } from "../local/local-task.ts";
export type { LogRecord } from "./log-record.ts";
export { runTask, TestWorker, type TestWorkerOptions, testWorker } from "./test-worker.ts";
export { VirtualClock } from "./virtual-clock.ts";
