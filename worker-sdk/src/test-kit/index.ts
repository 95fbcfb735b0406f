/**
 * Tools for the tests of workers. Nothing in production imports it.
 *
 * @module @muster/worker/testing
 */

// First: nothing else of this package is evaluated on a Node that lacks what it uses.
import "../node-version.ts";

export type { FailureFacts } from "../errors.ts";
export type { ChildAnswers } from "../local/local-children.ts";
export type {
  CancelOptions,
  LocalRun,
} from "../local/local-run.ts";
export type { LocalTaskOptions } from "../local/local-task.ts";
export type {
  LocalChild,
  PausedKey,
  ProgressReport,
  RunEvent,
  RunExpectation,
  RunFailure,
  RunOutcome,
  RunStep,
} from "../local/run-record.ts";
export { blockLoop } from "./block-loop.ts";
export type { LogRecord } from "./log-record.ts";
export type { DuplicatedKind } from "./message-proxy.ts";
export {
  type KitConnection,
  type StartedWorker,
  TestKit,
  type TestKitOptions,
  testKit,
} from "./test-kit.ts";
export type { TestNetwork } from "./test-network.ts";
export type { TestScheduler } from "./test-scheduler.ts";
export { type AdaptedLimit, runTask, TestWorker, type TestWorkerOptions, testWorker } from "./test-worker.ts";
export { VirtualClock } from "./virtual-clock.ts";
export type { TaskFilter, WaitForOptions } from "./wait-for-task.ts";
export type { ProcessEnd, SpawnOptions, WorkerProcess } from "./worker-process.ts";
