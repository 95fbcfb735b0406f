/** Workers on raw streams, and what they answer, for the faults that mechanisms answer. */
import { FailureClass } from "@muster/protocol";
import { MusterError } from "@muster/worker/client";
import { RawWorker, type RawWorkerOptions } from "../peers/raw-worker.ts";
import type { TestScheduler } from "../programs/scheduler.ts";
import type { Fleet } from "./fleet.ts";

export const connect = (
  fleet: Fleet,
  workerId: string,
  queue: string,
  { at = fleet.scheduler, ...options }: RawWorkerOptions & { readonly at?: TestScheduler } = {},
): Promise<RawWorker> =>
  RawWorker.connect(at.grpc, { workerId, ...options, hello: { queues: [queue], ...options.hello } });

export const failed = (code: string, failureClass: FailureClass = FailureClass.NON_RETRYABLE) => ({
  case: "failed" as const,
  value: { failureClass, code, message: "it broke" },
});

export type Outcome = ReturnType<typeof failed> | { readonly case: "succeeded"; readonly value: object };
export const SUCCEEDED: Outcome = { case: "succeeded", value: {} };

export function answer(worker: RawWorker, attemptId: string, outcome: Outcome): void {
  worker.send({ case: "taskResults", value: { results: [{ attemptId, outcome }] } });
}

/** Ends every attempt of the worker in the same way, until its stream ends. */
export function answerAll(worker: RawWorker, outcome: Outcome): void {
  const seen = new Set<string>();
  worker.eachAssignment(({ attemptId }) => {
    if (seen.has(attemptId)) return;
    seen.add(attemptId);
    answer(worker, attemptId, outcome);
  });
}

/** Accepts every attempt of the worker but these, and ends it as succeeded, until its stream ends. */
export function acceptOthers(worker: RawWorker, attemptIds: readonly string[]): void {
  const seen = new Set(attemptIds);
  worker.eachAssignment(({ attemptId }) => {
    if (seen.has(attemptId)) return;
    seen.add(attemptId);
    worker.accept(attemptId);
    answer(worker, attemptId, SUCCEEDED);
  });
}

/** In mode `act` it may have ended. */
export const cancel = (fleet: Fleet, taskId: string): Promise<unknown> =>
  fleet.client.tasks.cancelTask({ taskId, reason: "over" }).catch((error) => {
    if (!(error instanceof MusterError && error.reason === "TASK_ALREADY_ENDED")) throw error;
  });
