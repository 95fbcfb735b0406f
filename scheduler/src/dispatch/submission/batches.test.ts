import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ClassesGoneError } from "../../domain/errors.ts";
import type { BatchCancelStep } from "../../store/store.ts";
import { newTask } from "../../store/testing/made-rows.ts";
import { Counters } from "../../telemetry/metrics/counters.ts";
import { Batches, type BatchesParts } from "./batches.ts";

function build(parts: Partial<BatchesParts["store"]> = {}) {
  const calls: string[] = [];
  const counters = new Counters();
  const batches = new Batches({
    store: {
      createBatch: async () => 7,
      closeBatch: async () => true,
      requestBatchCancel: async (id, reason) => {
        calls.push(`request ${id} ${reason}`);
        return true;
      },
      nextBatchCancel: async () => undefined,
      batchCancelled: async (id, position) => void calls.push(`cancelled ${id} ${position}`),
      lead: async () => true,
      ...parts,
    },
    schedulerId: "a",
    classes: {
      forget: (ids) => void calls.push(`forget ${[...ids]}`),
      resolveAll: async (wanted) => wanted.map((each) => ({ ...each, id: 3 })),
    },
    control: {
      cancel: async (id, reason) => {
        calls.push(`cancel ${id} ${reason}`);
        return "cancelled";
      },
    },
    changer: {
      changeNamed: async ({ kind }, taskIds, reason) => void calls.push(`${kind} ${taskIds} ${reason}`),
    },
    counters,
  });
  return { batches, calls, counters };
}

describe("batches", () => {
  it("resolve the class of a completion task again when it was deleted meanwhile", async () => {
    let round = 0;
    const { batches, calls, counters } = build({
      createBatch: async () => {
        if (round++ === 0) throw new ClassesGoneError([3]);
        return 7;
      },
    });
    assert.equal(await batches.create("", newTask()), 7);
    assert.deepEqual(calls, ["forget 3"]);
    assert.deepEqual([counters.batches.created, counters.submitted, counters.dependents.held], [1, 1, 1]);
  });

  it("are cancelled from the completion task on, and look for members at once", async () => {
    const { batches, calls } = build();
    batches.onCancel(() => calls.push("soon"));
    await batches.cancel(7, "by ada", true);
    assert.deepEqual(calls, ["cancel 7 by ada", "request 7 by ada", "soon"]);
  });

  it("have their members cancelled step by step by the scheduler that leads", async () => {
    const steps: BatchCancelStep[] = [
      { batchId: 7, reason: "r", taskIds: [1, 2], lastPosition: 2 },
      { batchId: 7, reason: "r", taskIds: [], lastPosition: undefined },
    ];
    let leads = false;
    const { batches, calls } = build({
      nextBatchCancel: async () => steps[calls.filter((call) => call.startsWith("cancelled")).length],
      lead: async () => leads,
    });
    await batches.runOnce();
    assert.deepEqual(calls, []);
    leads = true;
    await batches.runOnce();
    assert.deepEqual(calls, ["cancel 1,2 r", "cancelled 7 2", "cancelled 7 undefined"]);
  });
});
