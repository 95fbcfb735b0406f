/** The faults that mechanisms answer, each once, for a fleet in any mode. */
import assert from "node:assert/strict";
import { FailureClass, TaskState } from "@muster/protocol";
import { MusterError, TaskFailedError } from "@muster/worker/client";
import { cleanUpLater } from "../clean-up.ts";
import { FaultProxy } from "../peers/fault-proxy.ts";
import { RawWorker } from "../peers/raw-worker.ts";
import type { Program } from "../programs/program.ts";
import { until } from "../waits.ts";
import { type Fleet, H } from "./fleet.ts";
import type { Counts } from "./mechanism-counts.ts";
import { answer, answerAll, cancel, connect, failed, SUCCEEDED } from "./mechanism-peers.ts";

/** A fault that lasts. */
export interface Driven {
  /** Ends it, and waits for the ends of its tasks. */
  readonly end: () => Promise<void>;
  /** What must be true afterwards where the mechanism acted, and where it did not. */
  readonly afterAct?: () => Promise<void>;
  readonly afterObserve?: () => Promise<void>;
}

export interface MechanismFault {
  /** The queue of its tasks, the key of its circuit, and how the names of its workers begin. */
  readonly key: string;
  /** By the number in docs/faults.md. */
  readonly fault: string;
  /** How often each mechanism acts, and would have acted. */
  readonly expected: Counts;
  readonly drive: (fleet: Fleet, key: string) => Promise<Driven>;
}

/** A worker process with tasks that run until the gate opens; behind the proxy if there is one. */
async function running(fleet: Fleet, key: string, { count = 1, through = fleet.scheduler.grpc } = {}) {
  const gate = fleet.gate();
  const worker = await fleet.worker(`${key}-1`, { queue: key, scheduler: through, slots: count });
  const handles = await fleet.client.submitMany(
    Array.from({ length: count }, () => ({ type: "gate", payload: { gate: gate.path }, queue: key })),
  );
  for (const { id } of handles) await fleet.started(id);
  return { gate, worker, handles };
}

/** How the tasks of a worker end that comes back: in the attempt that it kept, or in the next one. */
function ends({ gate, handles }: Awaited<ReturnType<typeof running>>, comeBack: () => Promise<void>): Driven {
  const inAttempt = (attempt: number) => async () => {
    for (const handle of handles) assert.equal(Object(await handle.result()).attempt, attempt);
  };
  return {
    end: async () => {
      await comeBack();
      gate.open();
      for (const handle of handles) await handle.result();
    },
    afterAct: inAttempt(2),
    afterObserve: inAttempt(1),
  };
}

/** A proxy that is closed at the latest when the tests of the file are over. */
async function proxyOf(fleet: Fleet): Promise<FaultProxy> {
  const proxy = await FaultProxy.start(fleet.scheduler.grpc);
  cleanUpLater(proxy, () => proxy.stop());
  return proxy;
}

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

/** Ends every attempt of the worker but these. */
function answerOthers(worker: RawWorker, attemptIds: readonly string[]): void {
  void (async () => {
    for (const seen = new Set(attemptIds); ; ) {
      const isNew = ({ attemptId: id }: { attemptId: string }) => !seen.has(id);
      const { assignments } = await worker.next("assignments", (frame) => frame.assignments.some(isNew));
      for (const { attemptId: id } of assignments.filter(isNew)) {
        seen.add(id);
        worker.accept(id);
        answer(worker, id, SUCCEEDED);
      }
    }
  })().catch(() => undefined);
}

/** A worker with an assignment that it has not accepted. */
async function unaccepted(fleet: Fleet, key: string) {
  const worker = await connect(fleet, `${key}-1`, key, { autoAccept: false });
  const task = await fleet.client.submit("echo", 1, { queue: key });
  return { worker, task, attemptId: (await worker.assignment(task.id)).attemptId };
}

const OF_WORKERS: readonly MechanismFault[] = [
  {
    key: "f1",
    fault: "F1, a worker is killed with two tasks",
    expected: { recovery: 2 },
    drive: async (fleet, key) => {
      const { worker, handles } = await running(fleet, key, { count: 2 });
      await worker.end("SIGKILL");
      return {
        end: async () => {
          for (const { id } of handles) await cancel(fleet, id);
        },
      };
    },
  },
  {
    key: "f2",
    fault: "F2, a worker is stopped and continues after its lease",
    expected: { recovery: 1 },
    drive: async (fleet, key) => {
      const begun = await running(fleet, key);
      const worker: Program = begun.worker;
      worker.kill("SIGSTOP");
      return ends(begun, async () => void worker.kill("SIGCONT"));
    },
  },
  {
    key: "f7",
    fault: "F7, a stream is cut for longer than lease and grace",
    expected: { recovery: 1 },
    drive: async (fleet, key) => {
      const proxy = await proxyOf(fleet);
      const begun = await running(fleet, key, { through: proxy.address });
      const mark = begun.worker.mark();
      proxy.refuse();
      return ends(begun, async () => {
        proxy.heal();
        await begun.worker.line("worker.reconnected", () => true, { after: mark });
      });
    },
  },
  {
    key: "f8",
    fault: "F8, a connection is half open for longer than lease and grace",
    expected: { recovery: 1 },
    drive: async (fleet, key) => {
      const proxy = await proxyOf(fleet);
      const worker = await RawWorker.connect(proxy.address, {
        workerId: `${key}-1`,
        hello: { queues: [key] },
      });
      const task = await fleet.client.submit("echo", 1, { queue: key });
      const { attemptId } = await worker.assignment(task.id);
      await fleet.eventually(task.id, "accepted");
      proxy.freeze();
      return {
        end: async () => {
          answer(worker, attemptId, SUCCEEDED);
          proxy.heal();
          const { acks } = await Promise.race([
            worker.next("resultAcks"),
            worker.ended.then(() => ({ acks: [] })),
          ]);
          if (acks[0]?.stale === false) await task.result();
          else await cancel(fleet, task.id);
          worker.cut();
        },
        afterAct: async () => assert.equal((await fleet.task(task.id)).state, TaskState.CANCELLED),
        afterObserve: async () => assert.equal((await fleet.task(task.id)).state, TaskState.SUCCEEDED),
      };
    },
  },
];

const OF_ANSWERS: readonly MechanismFault[] = [
  {
    key: "f28",
    fault: "F28, a worker does not accept an assignment",
    expected: { unaccepted: 1 },
    drive: async (fleet, key) => {
      const { worker, task, attemptId } = await unaccepted(fleet, key);
      answerOthers(worker, [attemptId]);
      return {
        end: async () => {
          worker.accept(attemptId);
          answer(worker, attemptId, SUCCEEDED);
          await task.result();
          worker.cut();
        },
      };
    },
  },
  {
    key: "t25",
    fault: "T25, an acceptance comes after the deadline",
    expected: { unaccepted: 1 },
    drive: async (fleet, key) => {
      const { worker, task, attemptId } = await unaccepted(fleet, key);
      await until(`the deadline of ${attemptId}`, async () => {
        const events = await fleet.events(task.id);
        return events.includes("requeued:unaccepted") || events.includes("mechanism.observed") || undefined;
      });
      worker.accept(attemptId);
      answer(worker, attemptId, SUCCEEDED);
      await task.result();
      return { end: async () => worker.cut() };
    },
  },
  {
    key: "t32",
    fault: "T32, a worker lists one of two tasks that it accepted",
    expected: { forgotten: 1 },
    drive: async (fleet, key) => {
      const worker = await connect(fleet, `${key}-1`, key, { slots: 2, beat: false });
      let forgotten = "";
      let sequence = 0n;
      const timer = setInterval(() => {
        sequence += 1n;
        const held = worker.assignments().filter(({ attemptId }) => attemptId !== forgotten);
        const running = held.map(({ attemptId }) => ({ attemptId }));
        worker.send({ case: "heartbeat", value: { sequence, slotCount: 2, running } });
      }, H);
      void worker.ended.then(() => clearInterval(timer));
      const [kept, lost] = await Promise.all(
        ["kept", "lost"].map((payload) => fleet.client.submit("echo", payload, { queue: key })),
      );
      assert.ok(kept && lost);
      const listed = (await worker.assignment(kept.id)).attemptId;
      const { attemptId } = await worker.assignment(lost.id);
      await fleet.eventually(lost.id, "accepted");
      forgotten = attemptId;
      answerOthers(worker, [listed, attemptId]);
      return {
        end: async () => {
          answer(worker, attemptId, SUCCEEDED);
          answer(worker, listed, SUCCEEDED);
          await kept.result();
          await cancel(fleet, lost.id);
          worker.cut();
        },
      };
    },
  },
];

const OF_TASKS: readonly MechanismFault[] = [
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

/** By what is at fault; those of a group may be driven at once. */
export const FAULT_GROUPS = {
  "workers that are lost": OF_WORKERS,
  "workers that do not answer": OF_ANSWERS,
  "tasks that fail": OF_TASKS,
} as const;

export const MECHANISM_FAULTS: readonly MechanismFault[] = Object.values(FAULT_GROUPS).flat();
