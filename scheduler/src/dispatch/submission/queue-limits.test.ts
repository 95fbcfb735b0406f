import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Refusal } from "../../domain/errors.ts";
import { Counters } from "../../telemetry/metrics/counters.ts";
import { QueueLimits } from "./queue-limits.ts";

const SINCE = new Date("2026-01-02T03:04:05Z");

/** Two queues: `small` with a limit, `free` without. */
function setUp(max: number, waiting = 0) {
  const table = { max: max as number | undefined, waiting };
  const counters = new Counters();
  let reads = 0;
  const limits = new QueueLimits(
    {
      limitedQueues: async () => {
        reads++;
        const { max: limit, waiting: now } = { ...table };
        // What is inserted while the answer travels is not in it.
        await Promise.resolve();
        if (limit === undefined) return [];
        return [
          { name: "small", max: limit, reason: "by ana", since: SINCE, waiting: Math.min(now, limit + 1) },
        ];
      },
    },
    counters,
  );
  const tasks = (count: number, queue = "small") => Array.from({ length: count }, () => ({ queue }));
  /** Admits and inserts. */
  const submit = async (count: number, queue = "small") => {
    const settled = await limits.admit(tasks(count, queue));
    if (queue === "small") table.waiting += count;
    settled();
  };
  return { limits, table, counters, submit, tasks, reads: () => reads };
}

const isFull = (retry: boolean) => (error: unknown) => {
  assert.ok(error instanceof Refusal);
  assert.deepEqual([error.kind, error.reason], ["exhausted", "QUEUE_FULL"]);
  assert.equal(error.retryDelayMs !== undefined, retry);
  return true;
};

describe("limits of queues", () => {
  it("cost nothing while no queue has one", async () => {
    const made = setUp(1);
    made.table.max = undefined;
    assert.equal(made.limits.none, true);
    await made.limits.refresh();
    assert.equal(made.limits.none, true);
  });

  it("refuse what would exceed them, as a whole, and count it; other queues are free", async () => {
    const { limits, submit, table, counters } = setUp(10);
    await limits.refresh();
    await submit(6);
    await assert.rejects(submit(5), isFull(true));
    await submit(4);
    await assert.rejects(submit(1), isFull(true));
    await submit(50, "free");
    assert.equal(table.waiting, 10);
    assert.equal(Object.fromEntries(counters.queueFull).small, 2);
  });

  it("say of a request that is larger than the limit that it must be divided", async () => {
    const { limits, submit } = setUp(10);
    await limits.refresh();
    await assert.rejects(submit(11), isFull(false));
  });

  it("are never exceeded by submits that come together", async () => {
    const { limits, submit, table } = setUp(100);
    await limits.refresh();
    const ends = await Promise.allSettled(Array.from({ length: 300 }, () => submit(1)));
    assert.equal(ends.filter(({ status }) => status === "fulfilled").length, 100);
    assert.equal(table.waiting, 100);
  });

  it("keep what is being inserted while a count is under way", async () => {
    const { limits, table, tasks, submit } = setUp(10);
    await limits.refresh();
    const settled = await limits.admit(tasks(8));
    await limits.refresh();
    await assert.rejects(submit(3), isFull(true));
    table.waiting += 8;
    settled();
    await limits.refresh();
    await submit(2);
    await assert.rejects(submit(1), isFull(true));
  });

  it("count before they refuse: what has been started meanwhile makes room", async () => {
    const { limits, submit, table } = setUp(10);
    await limits.refresh();
    await submit(10);
    table.waiting = 3;
    await submit(7);
    assert.equal(table.waiting, 10);
  });

  it("count again once a quarter of the room is used", async () => {
    const { limits, submit, reads, table } = setUp(100);
    await limits.refresh();
    for (let n = 0; n < 25; n++) await submit(1);
    assert.equal(reads(), 1);
    table.waiting = 100;
    await assert.rejects(submit(1), isFull(true), "another scheduler has filled it");
    assert.equal(reads(), 2);
  });

  it("end when they are taken away", async () => {
    const { limits, submit, table } = setUp(1, 1);
    await limits.refresh();
    await assert.rejects(submit(1), isFull(true));
    table.max = undefined;
    await limits.refresh();
    await submit(5);
    assert.equal(limits.none, true);
  });
});
