/** Faults of workers that do not answer. */
import assert from "node:assert/strict";
import { until } from "../waits.ts";
import { type Fleet, H } from "./fleet.ts";
import type { MechanismFault } from "./mechanism-fault.ts";
import { acceptOthers, answer, cancel, connect, SUCCEEDED } from "./mechanism-peers.ts";

/** A worker with an assignment that it has not accepted. */
async function unaccepted(fleet: Fleet, key: string) {
  const worker = await connect(fleet, `${key}-1`, key, { autoAccept: false });
  const task = await fleet.client.submit("echo", 1, { queue: key });
  return { worker, task, attemptId: (await worker.assignment(task.id)).attemptId };
}

export const MISSING_ANSWER_FAULTS: readonly MechanismFault[] = [
  {
    key: "f28",
    fault: "F28, a worker does not accept an assignment",
    expected: { unaccepted: 1 },
    drive: async (fleet, key) => {
      const { worker, task, attemptId } = await unaccepted(fleet, key);
      acceptOthers(worker, [attemptId]);
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
      acceptOthers(worker, [listed, attemptId]);
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
