/** Faults of tasks that fail, and that end their workers. */
import assert from "node:assert/strict";
import { FailureClass } from "@muster/protocol";
import { MusterError, TaskFailedError } from "@muster/worker/client";
import type { RawWorker } from "../peers/raw-worker.ts";
import { until } from "../waits.ts";
import type { Fleet } from "./fleet.ts";
import type { Driven, MechanismFault } from "./mechanism-fault.ts";
import { answer, answerAll, cancel, connect, failed, SUCCEEDED } from "./mechanism-peers.ts";

/** Ends the attempts of a task one after the other as `each` does. */
async function inTurn(
  fleet: Fleet,
  worker: RawWorker,
  taskId: string,
  epochs: readonly number[],
  each: (attemptId: string) => Promise<void> | void,
): Promise<Driven> {
  for (const epoch of epochs) {
    const attemptId = `${taskId}.${epoch}`;
    await worker.next("assignments", ({ assignments }) =>
      assignments.some((assignment) => assignment.attemptId === attemptId),
    );
    await each(attemptId);
  }
  return {
    end: async () => {
      await cancel(fleet, taskId);
      answerAll(worker, SUCCEEDED);
      await until(`${taskId} has ended`, async () =>
        (await fleet.client.get(taskId)).finishTime ? true : undefined,
      );
      worker.cut();
    },
  };
}

/** Reports the death of a process with its attempts, and waits until the scheduler has them back. */
async function dies(
  fleet: Fleet,
  worker: RawWorker,
  ids: readonly string[],
  epoch: number,
  blamed?: string,
): Promise<void> {
  worker.send({
    case: "workerFatal",
    value: {
      ...(blamed === undefined ? {} : { attemptId: blamed }),
      exceptionClass: "TypeError",
      exceptionMessage: "it broke",
      phase: "handler",
    },
  });
  await until(`the end of ${worker.workerId}`, async () => {
    const tasks = await Promise.all(ids.map((id) => fleet.task(id)));
    const ended = tasks.every(({ attempts, finishTime }) => finishTime ?? attempts[epoch - 1]?.endTime);
    return ended || undefined;
  });
  worker.cut();
}

/** The wait may be over by itself. */
async function retryNow(fleet: Fleet, taskId: string): Promise<void> {
  await fleet.client.tasks.retryTask({ taskId }).catch((error) => {
    if (!(error instanceof MusterError && error.reason === "TASK_NOT_RETRYABLE")) throw error;
  });
}

export const FAILING_TASK_FAULTS: readonly MechanismFault[] = [
  {
    key: "f25",
    fault: "F25, a task always fails with a retryable error",
    expected: { attempt_limits: 1 },
    drive: async (fleet, key) => {
      const worker = await connect(fleet, `${key}-1`, key);
      const retry = { maxRetries: 1, delaysS: [0] };
      const { id } = await fleet.client.submit("echo", 1, { queue: key, retry });
      return inTurn(fleet, worker, id, [1, 2], (attemptId) =>
        answer(worker, attemptId, failed("BROKE", FailureClass.RETRYABLE)),
      );
    },
  },
  {
    key: "t27",
    fault: "T27, every run passes its timeout",
    expected: { attempt_limits: 1 },
    drive: async (fleet, key) => {
      const worker = await connect(fleet, `${key}-1`, key);
      const { id } = await fleet.client.submit("echo", 1, {
        queue: key,
        timeouts: { runS: 0.3 },
        retry: { maxRetries: 1, delaysS: [0] },
      });
      return inTurn(fleet, worker, id, [1, 2], async (attemptId) => {
        await worker.next("cancelAttempt", (request) => request.attemptId === attemptId && request.timedOut);
        answer(worker, attemptId, SUCCEEDED);
      });
    },
  },
  {
    key: "t24",
    fault: "T24, a task ends the process of three workers",
    // It runs alone after the first death, and ends with the third.
    expected: { poison: 2 },
    drive: async (fleet, key) => {
      const { id } = await fleet.client.submit("echo", 1, { queue: key });
      for (const epoch of [1, 2, 3]) {
        const worker = await connect(fleet, `${key}-${epoch}`, key);
        const { attemptId } = await worker.assignment(id);
        await dies(fleet, worker, [id], epoch, attemptId);
        // Without the wait after a death.
        if (epoch < 3) await retryNow(fleet, id);
      }
      return { end: async () => void (await cancel(fleet, id)) };
    },
  },
  {
    key: "several",
    fault: "T24, a process dies twice with the same two tasks, and it is not known which ended it",
    expected: { poison: 2 },
    drive: async (fleet, key) => {
      const handles = await fleet.client.submitMany(
        [1, 2].map((payload) => ({ type: "echo", payload, queue: key })),
      );
      const ids = handles.map(({ id }) => id);
      for (const epoch of [1, 2]) {
        const worker = await connect(fleet, `${key}-${epoch}`, key, { slots: 2 });
        for (const id of ids) await worker.assignment(id);
        await dies(fleet, worker, ids, epoch);
      }
      return {
        end: async () => {
          for (const id of ids) await cancel(fleet, id);
        },
      };
    },
  },
  {
    key: "t50",
    fault: "T50, tasks with one circuit fail",
    expected: { circuits: 1 },
    drive: async (fleet, key) => {
      const worker = await connect(fleet, `${key}-1`, key, { slots: 4 });
      answerAll(worker, failed("PROVIDER_DOWN"));
      const circuit = { key, minSamples: 2, openForS: 3_600 };
      const handles = await fleet.client.submitMany(
        [1, 2].map((payload) => ({ type: "echo", payload, queue: key, circuit })),
      );
      for (const handle of handles) await assert.rejects(handle.result(), TaskFailedError);
      return { end: async () => worker.cut() };
    },
  },
  {
    key: "f35",
    fault: "F35, a worker fails everything while its peer does not",
    expected: { quarantine: 1 },
    drive: async (fleet, key) => {
      // A type of its own: its peers are the workers of all queues that take it.
      const hello = { taskTypes: [{ taskType: "render" }] };
      const bad = await connect(fleet, `${key}-bad`, key, { hello });
      const good = await connect(fleet, `${key}-good`, key, { hello });
      answerAll(bad, failed("CUDA"));
      answerAll(good, SUCCEEDED);
      await until("both have ended enough", async () => {
        const handle = await fleet.client.submit("render", 1, { queue: key });
        await handle.result().catch((error) => assert.ok(error instanceof TaskFailedError, String(error)));
        const count = (worker: RawWorker) => worker.assignments().length;
        return (count(bad) >= 4 && count(good) >= 4) || undefined;
      });
      return {
        end: async () => {
          bad.cut();
          good.cut();
        },
      };
    },
  },
];
