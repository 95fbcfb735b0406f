import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { KEEPING, SchedulerPair } from "../support/fleet/scheduler-pair.ts";
import { Scrape } from "../support/telemetry/scrape.ts";
import { until } from "../support/waits.ts";

describe("T70: what handlers measure and note at two schedulers", () => {
  let pair: SchedulerPair;

  before(async () => {
    pair = await SchedulerPair.start(KEEPING);
  });

  after(() => pair.stop());

  /** Resolves when the database has this sum of the task's current attempt. */
  const hasMeasured = (taskId: string, tokens: number) =>
    until(`${taskId} has measured ${tokens}`, async () =>
      (await pair.atOne.get(taskId)).measured.tokens_in === tokens ? true : undefined,
    );

  const tokensOf = async (queue: string) =>
    (await pair.atTwo.metrics({ queue, name: "tokens_in" })).totals.map(({ sum, attemptCount }) => [
      sum,
      attemptCount,
    ]);

  it("is kept with a failed attempt and a cancelled one, summed, and shown with the failure", async () => {
    const queue = "measures";
    const gate = pair.fleet.gate();
    await pair.fleet.worker("measures", { queue, slots: 2, scheduler: pair.one.grpc });
    const options = { queue, retry: { maxRetries: 1, delaysS: [0] } };
    const payload = { amounts: [100, 50.5], iteration: 3, failAt: 1 };
    const failed = await pair.atTwo.submit("measured", payload, options);
    const cancelled = await pair.atOne.submit("measured", { amounts: [7], gate: gate.path }, options);
    await failed.result();
    await hasMeasured(cancelled.id, 7);
    await cancelled.cancel("a test");
    await assert.rejects(cancelled.result(), /cancelled/);
    const { attempts, measured } = await failed.get();
    assert.deepEqual(
      attempts.map((attempt) => [attempt.measured, attempt.failure?.facts]),
      [
        [
          { tokens_in: 150.5, calls: 1 },
          { model: "large", iteration: 3 },
        ],
      ],
    );
    assert.deepEqual(measured, { tokens_in: 150.5, calls: 1 }, "the second attempt has sums of its own");
    assert.deepEqual((await cancelled.get()).measured, { tokens_in: 7, calls: 1 });
    assert.deepEqual(await tokensOf(queue), [[308, 3]]);
    const shown = await pair.muster("task", failed.id);
    assert.match(shown, /^measured\tcalls=1 tokens_in=150\.5$/m);
    assert.match(
      shown,
      /^earlier attempt\t.*it failed \(model=large iteration=3\) calls=1 tokens_in=150\.5$/m,
    );
    assert.match(
      await pair.muster("stats", "--queue", queue),
      /^measures\tmeasured\ttokens_in\t308\t3\t102\.667$/m,
    );
    const example = await pair.muster("failures", "--queue", queue);
    assert.match(example, /it failed \(model=large iteration=3\)$/m);
    const events = await pair.muster("events", failed.id);
    assert.match(events, /requeued:retry.*facts=.*"iteration": ?3/);
    const samples = await Scrape.of(pair.one.http);
    assert.equal(
      samples.sum("muster_task_metric_total", { queue, type: "measured", name: "tokens_in" }),
      308,
    );
  });

  it("is kept when the worker is killed: what had arrived, and its facts with the failure", async () => {
    const queue = "killed";
    const gate = pair.fleet.gate();
    const dies = await pair.fleet.worker("dies", { queue, slots: 1, scheduler: pair.two.grpc });
    const payload = { amounts: [20], iteration: 9, gate: gate.path, after: 5 };
    const handle = await pair.atOne.submit("measured", payload, { queue });
    await hasMeasured(handle.id, 20);
    await dies.end("SIGKILL");
    gate.open();
    await pair.fleet.worker("goes-on", { queue, slots: 1, scheduler: pair.two.grpc });
    await handle.result();
    const { attempts, measured } = await handle.get();
    assert.deepEqual(
      attempts.map((attempt) => [attempt.measured, attempt.failure?.code, attempt.failure?.facts]),
      [[{ tokens_in: 20, calls: 1 }, "WORKER_LOST", { iteration: 9 }]],
    );
    assert.deepEqual(measured, { tokens_in: 25, calls: 1 });
    assert.deepEqual(await tokensOf(queue), [[45, 2]]);
  });

  it("is counted once when the scheduler is killed and the worker reports again to the other one", async () => {
    const queue = "moved";
    const gate = pair.fleet.gate();
    const scheduler = `${pair.two.grpc},${pair.one.grpc}`;
    await pair.fleet.worker("moves", { queue, slots: 1, scheduler });
    const payload = { amounts: [40], iteration: 2, gate: gate.path, after: 2, failAt: 1 };
    const handle = await pair.atOne.submit("measured", payload, { queue, retry: { maxRetries: 0 } });
    await hasMeasured(handle.id, 40);
    await pair.two.program.end("SIGKILL");
    gate.open();
    await assert.rejects(handle.result(), /it failed/);
    const { failure, measured } = await handle.get();
    assert.deepEqual(
      [measured, failure?.facts],
      [
        { tokens_in: 42, calls: 1 },
        { model: "large", iteration: 2 },
      ],
    );
    const why = await pair.muster("why", handle.id);
    assert.match(why, /fact.*iteration = 2/);
    await pair.fleet.restart(pair.two);
    assert.deepEqual(await tokensOf(queue), [[42, 1]]);
  });
});
