import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { RawScheduler } from "../../test/support/peers/raw-scheduler.ts";
import { defineTask, OptionsError, RetryableError, Worker, type WorkerOptions } from "./index.ts";
import { testWorker } from "./test-kit/index.ts";
import { connected, outcomeOf } from "./worker-fixture.test.ts";

const work = defineTask({ type: "work" });

describe("adaptive concurrency of a worker", () => {
  it("runs no more than the limit, and raises it while as many run, by the clock of the test", async () => {
    const ends: (() => void)[] = [];
    await using worker = await testWorker({
      prefetch: 10,
      tasks: {
        work: {
          concurrency: { max: 3 },
          handler: () => new Promise<void>((resolve) => ends.push(resolve)),
        },
      },
    });
    const first = worker.start("work");
    const second = worker.start("work");
    await first.until(({ started }) => started);
    assert.ok(!second.started);
    assert.deepEqual(worker.limitOf("work"), { limit: 1, reason: "" });
    const runs = [first, second, ...Array.from({ length: 4 }, () => worker.start("work"))];
    for (const run of runs.slice(0, 5)) {
      await run.until(({ started }) => started);
      await worker.clock.pass(2);
      ends.pop()?.();
      await run.ended;
    }
    assert.deepEqual(worker.limitOf("work"), {
      limit: 2,
      reason: "as many ran at once as it allowed, 0 of 5 attempts failed, and the median took 2.0 s",
    });
    const changed = worker.log.filter(({ fields }) => fields.event === "worker.concurrency.changed");
    assert.deepEqual(
      changed.map(({ fields }) => [fields.task_type, fields.previous_limit, fields.limit]),
      [["work", 1, 2]],
    );
    const last = worker.start("work");
    await last.until(({ started }) => started);
    assert.ok(runs[5]?.started, "two at once");
  });

  it("lowers it when attempts fail, but not for their input", async () => {
    const refuse = (error: () => Error) => ({
      concurrency: { max: 8, start: 8 },
      handler: () => {
        throw error();
      },
    });
    await using worker = await testWorker({
      tasks: {
        failing: refuse(() => new RetryableError("no")),
        invalid: refuse(() => new TypeError("no", { cause: 1 })),
      },
    });
    await worker.clock.pass(10);
    for (let count = 0; count < 8; count++) await worker.run("failing");
    assert.deepEqual(worker.limitOf("failing"), {
      limit: 5,
      reason: "8 of 8 attempts failed, more than 10 %",
    });
    assert.equal(worker.limitOf("other"), undefined);
  });

  it("counts no attempt whose target is none, and says so", async () => {
    const worker = new Worker({ concurrency: 8 }).handle(work, () => 1, {
      concurrency: { max: 8, targetS: () => Number.NaN },
    });
    await using bench = await testWorker(worker);
    await bench.clock.pass(10);
    for (let count = 0; count < 8; count++) await bench.run(work, null);
    assert.equal(bench.limitOf(work)?.limit, 1);
    const [line] = bench.log.filter(({ fields }) => fields.event === "worker.concurrency.no_target");
    assert.equal(line?.fields.got, "NaN");
  });

  /** Two attempts for a worker that runs one at once. */
  async function twoAssigned(features: readonly string[]) {
    const gate = Promise.withResolvers<void>();
    const scheduler = await RawScheduler.start({ welcome: { features: [...features] } });
    const made = await connected(
      { tasks: { work: { concurrency: { max: 3 }, handler: () => gate.promise } } },
      scheduler,
    );
    const { stream } = made;
    const assignments = [1, 2].map((n) => ({
      ...{ attemptId: `t-${n}.1`, taskId: `t-${n}`, taskType: "work" },
    }));
    stream.send({ case: "assignments", value: { assignments } });
    return { ...made, gate };
  }

  it("gives back what waits beyond the limit, to a scheduler that follows it", async () => {
    await using made = await twoAssigned(["adaptive_limits"]);
    const outcome = await outcomeOf(made.stream, "t-2.1");
    assert.equal(outcome?.case, "released");
    assert.equal(outcome.value.reason, "concurrency");
    made.gate.resolve();
    assert.equal((await outcomeOf(made.stream, "t-1.1"))?.case, "succeeded");
  });

  it("keeps it for an older scheduler, which would assign it again at once", async () => {
    await using made = await twoAssigned([]);
    made.gate.resolve();
    assert.equal((await outcomeOf(made.stream, "t-1.1"))?.case, "succeeded");
    assert.equal((await outcomeOf(made.stream, "t-2.1"))?.case, "succeeded");
  });

  it("says its limits in Hello and in every heartbeat; a fixed one is in neither", async () => {
    await using made = await connected({
      concurrency: 4,
      tasks: {
        work: { concurrency: { min: 2, max: 9 }, handler: () => 1 },
        fixed: { concurrency: 3, handler: () => 1 },
      },
    });
    const { taskTypes } = await made.stream.next("hello");
    assert.deepEqual(
      taskTypes.map(({ taskType, concurrency, adaptive }) => [taskType, concurrency, adaptive?.limit]),
      [
        ["work", 4, 2],
        ["fixed", 3, undefined],
      ],
    );
    const { adaptiveLimits } = await made.stream.next("heartbeat");
    assert.deepEqual(Object.keys(adaptiveLimits), ["work"]);
    const { limit, minLimit, maxLimit, previousLimit, changeAge } = adaptiveLimits.work ?? {};
    assert.deepEqual([limit, minLimit, maxLimit, previousLimit, changeAge], [2, 2, 4, 0, undefined]);
  });

  it("has as many slots as the largest may reach, unless they are set", () => {
    const tasks: WorkerOptions["tasks"] = { a: { concurrency: { max: 7 }, handler: () => 1 }, b: () => 1 };
    assert.match(String(faultsOf(() => new Worker({ tasks, concurrency: 0 }))), /concurrency: 0 is not/);
    const late = () => new Worker().handle(work, () => 1, { concurrency: { max: 7 } });
    assert.deepEqual(faultsOf(late), [
      "task work: option concurrency.max: 7 is more than the slots of the worker (1); set its option concurrency, or WORKER_MAX_CONCURRENCY, to at least 7",
    ]);
    new Worker({ concurrency: 2 }).handle(work, () => 1, { concurrency: { max: 7 } });
  });

  it("has no batch that its least limit cannot fill", () => {
    const batch = (min: number) => () =>
      new Worker({ concurrency: 8 }).handleBatch(work, (inputs) => inputs.map(() => 1), {
        batch: { size: 4, waitMs: 10 },
        concurrency: { min, max: 8 },
      });
    assert.match(String(faultsOf(batch(3))), /size: 4 /);
    assert.deepEqual(faultsOf(batch(4)), []);
  });

  it("refuses bounds that are none, all at once", () => {
    const concurrency = { min: 3, max: 2, start: 9, targetS: 0, maxFailureShare: 2, windowS: 0.5, most: 1 };
    assert.deepEqual(
      faultsOf(() => new Worker({ tasks: { a: { concurrency, handler: () => 1 } } })),
      [
        'option tasks["a"].concurrency.most: is none of min, max, start, targetS, maxFailureShare, windowS',
        'option tasks["a"].concurrency.min: 3 is not an integer from 1 to 2',
        'option tasks["a"].concurrency.start: 9 is not an integer from 1 to 2',
        'option tasks["a"].concurrency.targetS: 0 is not a number above 0 and up to 86400, nor a function',
        'option tasks["a"].concurrency.maxFailureShare: 2 is not a number from 0 to 1',
        'option tasks["a"].concurrency.windowS: 0.5 is not a number from 1 to 86400',
      ],
    );
    const given = { concurrency: "9" as never, handler: () => 1 };
    assert.match(
      String(faultsOf(() => new Worker({ tasks: { a: given } }))),
      /9 is not an integer .*, nor \{ min, max \}/,
    );
    const many = Array.from({ length: 101 }, (_, n) => [
      `t${n}`,
      { concurrency: { max: 2 }, handler: () => 1 },
    ]);
    assert.match(
      String(faultsOf(() => new Worker({ tasks: Object.fromEntries(many) }))),
      /101 types adapts; at most 100/,
    );
  });
});

function faultsOf(make: () => unknown): readonly string[] {
  try {
    make();
  } catch (error) {
    assert.ok(error instanceof OptionsError, String(error));
    return error.faults;
  }
  return [];
}
