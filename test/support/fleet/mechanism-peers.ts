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
  const answerNext = async (): Promise<void> => {
    const frame = await worker.next("assignments", ({ assignments }) =>
      assignments.some(({ attemptId }) => !seen.has(attemptId)),
    );
    for (const { attemptId } of frame.assignments) {
      if (seen.has(attemptId)) continue;
      seen.add(attemptId);
      answer(worker, attemptId, outcome);
    }
    await answerNext();
  };
  void answerNext().catch(() => undefined);
}

/** In mode `act` it may have ended. */
export const cancel = (fleet: Fleet, taskId: string): Promise<unknown> =>
  fleet.client.tasks.cancelTask({ taskId, reason: "over" }).catch((error) => {
    if (!(error instanceof MusterError && error.reason === "TASK_ALREADY_ENDED")) throw error;
  });
