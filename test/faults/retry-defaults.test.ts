import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { RetryPolicySource } from "@muster/protocol";
import type { Client, TaskHandle } from "@muster/worker/client";
import { KEEPING, SchedulerPair } from "../support/fleet/scheduler-pair.ts";
import { runMuster } from "../support/programs/run-muster.ts";
import { until } from "../support/waits.ts";

describe("F37: defaults of the retry policy with two schedulers", () => {
  let pair: SchedulerPair;

  before(async () => {
    pair = await SchedulerPair.start([...KEEPING, "--max-retries", "1", "--retry-backoff", "0"]);
  });

  after(() => pair.stop());

  /** Resolves when the scheduler has so many retries for a task of the queue. */
  async function retriesAt(client: Client, taskId: string, count: number): Promise<void> {
    await until(`the scheduler has ${count} retries for ${taskId}`, async () => {
      const { task } = await client.tasks.getTask({ taskId });
      return task?.retryPolicy?.maxRetryCount === count || undefined;
    });
  }

  /** Resolves when the database has the start: what follows from the loss of its worker depends on it. */
  async function startWritten(taskId: string): Promise<void> {
    await until("the start is written", async () => {
      const { task } = await pair.atOne.tasks.getTask({ taskId });
      return task?.startTime && true;
    });
  }

  async function detailOf(handle: TaskHandle<unknown>): Promise<string> {
    await handle.result().then(
      () => assert.fail("the task succeeded"),
      () => undefined,
    );
    return (await pair.fleet.task(handle.id)).detail;
  }

  it("the scheduler's apply, then those of the queue, also to tasks that were submitted before", async () => {
    await pair.fleet.worker("defaults-1", { queue: "plain,own", scheduler: pair.one.grpc });
    const plain = await pair.atOne.submit("fail", null, { queue: "plain" });
    assert.equal(await detailOf(plain), "RETRIES_EXHAUSTED");
    assert.equal(pair.fleet.runs(plain.id).length, 2);
    assert.match(
      await pair.musterAt(pair.two, "task", plain.id),
      /^retries\t1 \(default of the scheduler\), waits 0s \(default of the scheduler\)$/m,
    );

    const early = await pair.atOne.submit("fail", null, { queue: "nightly" });
    const own = await pair.atOne.submit("fail", null, { queue: "nightly", retry: { maxRetries: 0 } });
    assert.equal(
      await pair.musterAt(
        pair.two,
        "queue",
        "set",
        "nightly",
        "--max-retries",
        "3",
        "--backoff",
        "0s",
        "--reason",
        "slow",
      ),
      "nightly has max-retries=3 backoff=0s\n",
    );
    await retriesAt(pair.atOne, early.id, 3);
    await pair.fleet.worker("defaults-2", { queue: "nightly", scheduler: pair.one.grpc });
    assert.equal(await detailOf(early), "RETRIES_EXHAUSTED");
    assert.equal(pair.fleet.runs(early.id).length, 4);
    assert.equal(await detailOf(own), "ON_PURPOSE", "the task's own number goes before that of its queue");
    const { task } = await pair.atTwo.tasks.getTask({ taskId: own.id });
    assert.deepEqual(
      [task?.retryPolicySources?.maxRetryCount, task?.retryPolicySources?.backoff],
      [RetryPolicySource.TASK, RetryPolicySource.QUEUE],
    );
  });

  it("a change keeps what it does not name, is explained and recorded, and can be taken back", async () => {
    await pair.musterAt(pair.two, "queue", "set", "nightly", "--backoff", "1h,factor=3");
    // The worker's scheduler applies it from its next poll.
    const later = await pair.atOne.submit("fail", null, { queue: "nightly", delayS: 3_600 });
    await until("the scheduler has the backoff", async () => {
      const { task } = await pair.atOne.tasks.getTask({ taskId: later.id });
      const backoff = task?.retryPolicy?.backoff;
      return (backoff?.case === "exponential" && backoff.value.initialDelay?.seconds === 3_600n) || undefined;
    });
    await later.cancel();
    const waiting = await pair.atOne.submit("fail", null, { queue: "nightly" });
    const { reason } = await pair.fleet.taskReason(waiting.id, "WAITING_FOR_RETRY", 60_000, {
      evidence: {
        ...{
          attempt: /^1$/,
          run_time: /Z$/,
          error_code: /^ON_PURPOSE$/,
          error_message: /./,
          worker: /^defaults-2$/,
        },
        max_retries: /^3 \(default of queue nightly\)$/,
        backoff: /^60 min, times 3 each, at most 60 min \(default of queue nightly\)$/,
      },
      commands: [`muster retry ${waiting.id}`],
    });
    assert.match(reason.summary, /the next begins in/);
    assert.match(
      await pair.musterAt(pair.two, "queues"),
      /^nightly\t.*\tmax-retries=3 backoff=1h,factor=3,max=1h\t\d*\t\d+$/m,
    );
    assert.equal(
      await pair.musterAt(pair.two, "queue", "set", "nightly", "--max-retries", "default"),
      "nightly has backoff=1h,factor=3,max=1h\n",
    );
    assert.equal(
      await pair.musterAt(pair.two, "queue", "set", "nightly", "--backoff", "default"),
      "nightly has no settings of its own\n",
    );
    await retriesAt(pair.atOne, waiting.id, 1);
    const { queues } = await pair.atOne.fleet.listQueues({});
    const queue = queues.find(({ name }) => name === "nightly");
    assert.deepEqual([queue?.settings, queue?.settingsReason], [undefined, ""]);
    const events = await pair.fleet.db.query<{ attributes: Record<string, string> }>(
      "select attributes from event where name = 'queue.configured' order by id",
    );
    assert.deepEqual(
      events.map(({ attributes: { reason: _, ...rest } }) => rest),
      [
        { queue: "nightly", max_retries: "3", backoff: "0 ms" },
        { queue: "nightly", backoff: "60 min, times 3 each, at most 60 min" },
        { queue: "nightly", cleared: "max_retries" },
        { queue: "nightly", cleared: "backoff" },
      ],
    );
    assert.match(events[0]?.attributes.reason ?? "", /^slow \(by .+\)$/);
    const wrong = await runMuster(pair.one.grpc, ["queue", "set", "nightly"]);
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /no setting is named; give one/);
    await waiting.cancel("the test is over");
  });

  it("attempts that are lost with their worker wait as the task or its queue asks", async () => {
    await pair.musterAt(pair.two, "queue", "set", "lost", "--lost-backoff", "1h,2h");
    const gate = pair.fleet.gate();
    const spec = { type: "gate", payload: { gate: gate.path }, queue: "lost" };
    for (const [name, scheduler, more, waits] of [
      ["lost-1", pair.one, {}, /^60 min, 2 h \(default of queue lost\)$/],
      ["lost-2", pair.two, { retry: { lostDelaysS: [1_800] } }, /^30 min \(of the task\)$/],
    ] as const) {
      const worker = await pair.fleet.worker(name, { queue: "lost", slots: 1, scheduler: scheduler.grpc });
      const [handle] = await pair.atOne.submitMany([{ ...spec, ...more }]);
      assert.ok(handle);
      await startWritten(handle.id);
      await worker.end("SIGKILL");
      await pair.fleet.taskReason(handle.id, "WAITING_FOR_RETRY", 10_000, {
        evidence: {
          ...{ attempt: /^1$/, run_time: /Z$/, error_code: /^WORKER_LOST$/, error_message: /./ },
          ...{ worker: new RegExp(`^${name}$`), process_deaths: /^1$/ },
          ...{ max_retries: /^1 \(/, backoff: /^0 ms \(/, lost_backoff: waits },
        },
        commands: [`muster retry ${handle.id}`],
      });
      await handle.cancel("the test is over");
    }
  });

  it("when a scheduler is killed, the other one decides by them, for lost attempts, too", async () => {
    await pair.musterAt(pair.two, "queue", "set", "killed", "--max-retries", "0");
    const addresses = `${pair.two.grpc},${pair.one.grpc}`;
    await pair.fleet.worker("stays", { queue: "killed", slots: 1, scheduler: addresses });
    const gate = pair.fleet.gate();
    const held = await pair.atTwo.submit("gate", { gate: gate.path }, { queue: "killed" });
    await pair.fleet.ran(held.id);
    const behind = await pair.atTwo.submit("fail", null, { queue: "killed" });
    const dies = await pair.fleet.worker("dies", { queue: "killed-too", slots: 1, scheduler: addresses });
    await pair.musterAt(pair.two, "queue", "set", "killed-too", "--max-retries", "0");
    const lost = await pair.atTwo.submit("gate", { gate: gate.path }, { queue: "killed-too" });
    await startWritten(lost.id);
    await pair.two.program.end("SIGKILL");
    await dies.end("SIGKILL");
    await until("the lost one has ended", async () => {
      const { task } = await pair.atOne.tasks.getTask({ taskId: lost.id });
      return task?.detail === "WORKER_LOST" || undefined;
    });
    gate.open();
    await until("the failed one has ended", async () => {
      const { task } = await pair.atOne.tasks.getTask({ taskId: behind.id });
      return task?.detail === "ON_PURPOSE" || undefined;
    });
    assert.equal(pair.fleet.runs(behind.id).length, 1);
    await pair.fleet.restart(pair.two);
    await held.result();
  });
});
