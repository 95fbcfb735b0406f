/** Faults of workers that are lost. */
import assert from "node:assert/strict";
import { TaskState } from "@muster/protocol";
import { cleanUpLater } from "../clean-up.ts";
import { FaultProxy } from "../peers/fault-proxy.ts";
import { RawWorker } from "../peers/raw-worker.ts";
import type { Program } from "../programs/program.ts";
import type { Fleet } from "./fleet.ts";
import type { Driven, MechanismFault } from "./mechanism-fault.ts";
import { answer, cancel, SUCCEEDED } from "./mechanism-peers.ts";

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

export const WORKER_LOSS_FAULTS: readonly MechanismFault[] = [
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
