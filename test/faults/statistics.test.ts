import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { SchedulerPair } from "../support/fleet/scheduler-pair.ts";
import { until, within } from "../support/waits.ts";

/** How often a scheduler writes its counts. */
const WRITTEN_EVERY_MS = 10_000;

describe("T56: counts of failures and successes with two schedulers", () => {
  let pair: SchedulerPair;

  before(async () => {
    pair = await SchedulerPair.start();
    await Promise.all([
      pair.fleet.worker("one", { queue: "at-one", slots: 4, scheduler: pair.one.grpc }),
      pair.fleet.worker("two", { queue: "at-two", slots: 4, scheduler: `${pair.two.grpc},${pair.one.grpc}` }),
    ]);
  });

  after(() => pair.stop());

  /** The worker "two" once its scheduler has written that it completed so many. */
  const completedByTwo = (count: bigint) =>
    until(`${count} are written`, async () => {
      const { worker } = await pair.atOne.fleet.getWorker({ workerId: "two" });
      return worker?.completions?.completedCount === count ? worker : undefined;
    });

  it("each scheduler answers for both; a kill loses successes that were not written, and no failure", async () => {
    const retry = { maxRetries: 1, delaysS: [0] };
    const work = (queue: string, count: number) => [
      ...Array.from({ length: count }, () => ({ type: "echo", payload: 1, queue })),
      { type: "fail", queue, retry },
      { type: "refuse", queue },
    ];
    const handles = await pair.atOne.submitMany([...work("at-one", 7), ...work("at-two", 5)]);
    await Promise.allSettled(handles.map((handle) => handle.result()));
    const { value } = await within("both have written their counts", 2 * WRITTEN_EVERY_MS, async () => {
      const found = await pair.atTwo.failures();
      return found.attempts?.succeededCount === 12 ? found : undefined;
    });
    const brief = (counts: typeof value.attempts) =>
      counts?.groups.map(({ failedCount, code }) => `${failedCount} of ${counts.failedCount} ${code}`);
    assert.deepEqual([...(brief(value.attempts) ?? [])].sort(), ["2 of 6 NEVER", "4 of 6 ON_PURPOSE"]);
    assert.deepEqual([...(brief(value.tasks) ?? [])].sort(), ["2 of 4 NEVER", "2 of 4 ON_PURPOSE"]);
    assert.equal(value.tasks?.successRate, 12 / 16);
    const atOne = await pair.atOne.failures({ queue: "at-one" });
    assert.deepEqual([atOne.attempts?.succeededCount, atOne.attempts?.failedCount], [7, 3]);
    const byWorker = await pair.atOne.failures({ workerId: "two" });
    assert.deepEqual([byWorker.attempts?.succeededCount, byWorker.attempts?.failedCount], [undefined, 3]);

    const more = await pair.atOne.submitMany(work("at-two", 3));
    await Promise.allSettled(more.map((handle) => handle.result()));
    await completedByTwo(8n);
    await pair.two.program.end("SIGKILL");
    const left = await pair.atOne.failures();
    assert.deepEqual([left.attempts?.failedCount, left.tasks?.failedCount], [9, 6], "failures are records");
    const succeeded = left.attempts?.succeededCount ?? 0;
    assert.ok(succeeded >= 12 && succeeded <= 15, `${succeeded} of 15`);
  });

  it("a worker that moves to the other scheduler goes on counting from what its heartbeats wrote", async () => {
    const task = await pair.atOne.submit("echo", 1, { queue: "at-two" });
    await task.result();
    const worker = await completedByTwo(9n);
    assert.equal(worker.schedulerId, pair.one.id);
    assert.equal(worker.completions?.recentCompletedCount, 9n);
  });

  it("a scheduler that stops as planned writes what it has counted", async () => {
    const counted = async () => {
      const [row] = await pair.fleet.db.query<{ count: number }>(
        "select sum(c)::int as count from completion_count, unnest(counts) c",
      );
      return row?.count ?? 0;
    };
    const before = await counted();
    const handles = await pair.atOne.submitMany(
      Array.from({ length: 4 }, () => ({ type: "echo", payload: 1, queue: "at-one" })),
    );
    await Promise.all(handles.map((handle) => handle.result()));
    await pair.one.program.end("SIGTERM");
    const written = (await counted()) - before;
    assert.ok(written <= 5);
    // All 12 of the first scheduler, and what the killed one had written of its 8.
    const total = before + written;
    assert.ok(total >= 17 && total <= 20, `${before} and ${written}`);
  });
});
