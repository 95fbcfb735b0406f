/** Why nothing can be said of where a worker's handlers are. */
import { Refusal } from "../errors.ts";
import { span } from "../explain/reason.ts";
import type { WorkerRecord } from "./worker.ts";

/** `STACKS_NOT_SUPPORTED`: its SDK is older. */
export function stacksNotSupported({ workerId, hello }: Pick<WorkerRecord, "hello" | "workerId">): Refusal {
  return new Refusal(
    "precondition",
    "STACKS_NOT_SUPPORTED",
    `worker ${workerId} cannot say where its handlers are: its SDK, ${hello.sdk || "which it does not name"}, is too old for it; update the worker`,
  );
}

/** `WORKER_NOT_CONNECTED`: no scheduler has its stream. */
export function workerNotConnected(
  { workerId }: Pick<WorkerRecord, "workerId">,
  heartbeatAgeMs: number | undefined,
): Refusal {
  return new Refusal(
    "precondition",
    "WORKER_NOT_CONNECTED",
    `worker ${workerId} has no stream to a scheduler, so it cannot be asked where its handlers are; ${beat(heartbeatAgeMs)}`,
  );
}

/** `STACKS_REFUSED`: the worker has answered that it does not read them. */
export function stacksRefused({ workerId }: Pick<WorkerRecord, "workerId">, error: string): Refusal {
  return new Refusal(
    "precondition",
    "STACKS_REFUSED",
    `worker ${workerId} does not say where its handlers are: ${error || "it gives no reason"}`,
  );
}

/** `STACK_NOT_ANSWERED`: with what was asked of whom. */
export function stackNotAnswered(
  { workerId }: Pick<WorkerRecord, "workerId">,
  asked: {
    readonly attemptId: string;
    readonly timeoutMs: number;
    /** The scheduler that has its stream. */
    readonly holder: string;
    readonly heartbeatAgeMs: number | undefined;
  },
): Refusal {
  const what = asked.attemptId === "" ? "its handlers are" : `the handler of ${asked.attemptId} is`;
  return new Refusal(
    "deadline",
    "STACK_NOT_ANSWERED",
    `worker ${workerId} was asked through scheduler ${asked.holder} where ${what}, and has not answered within ${span(asked.timeoutMs)}; ${beat(asked.heartbeatAgeMs)}`,
  );
}

function beat(ageMs: number | undefined): string {
  return ageMs === undefined ? "it has sent no heartbeat" : `its last heartbeat arrived ${span(ageMs)} ago`;
}
