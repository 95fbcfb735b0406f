import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { TaskState } from "@muster/protocol";
import { TaskFailedError } from "@muster/worker/client";
import { Fleet, H } from "../support/fleet/fleet.ts";
import { cutAll, RawWorker } from "../support/peers/raw-worker.ts";
import { killAll } from "../support/programs/program.ts";
import { within } from "../support/waits.ts";

describe("T27: an attempt that passed a hard timeout never succeeds", () => {
  let fleet: Fleet;

  before(async () => {
    fleet = await Fleet.start();
  });

  after(async () => {
    cutAll();
    await killAll();
    await fleet.stop();
  });

  it("T27: a handler that ignores its run timeout is named at once and again, and ends as TIMED_OUT", async () => {
    const gate = fleet.gate();
    const worker = await fleet.worker("deaf", { queue: "deaf", slots: 1 });
    const handle = await fleet.client.submit(
      "gate",
      { gate: gate.path, deaf: true },
      { queue: "deaf", timeouts: { runS: 0.5 }, retry: { retryTimeouts: false } },
    );
    await fleet.ran(handle.id);
    const log = fleet.scheduler.program;
    const first = await log.line("task.timed_out", ({ attempt_id }) => attempt_id === `${handle.id}.1`);
    assert.deepEqual([first.timeout, first.limit_ms, first.warning], ["run", "500", "1"]);
    await fleet.taskReason(handle.id, "TIMING_OUT", H, {
      evidence: {
        worker: /^deaf$/,
        timeout: /^run$/,
        timeout_ms: /^500$/,
        process: new RegExp(`^pid ${worker.pid} on `),
      },
      commands: [`muster cancel ${handle.id}`],
    });
    const { explanation } = await fleet.client.tasks.explainTask({ taskId: handle.id });
    assert.ok(!explanation?.reasons.some(({ code }) => code === "RUNNING"));
    await log.line(
      "task.timed_out",
      ({ attempt_id, warning }) => attempt_id === `${handle.id}.1` && warning === "2",
    );
    gate.open();
    await assert.rejects(handle.result(), TaskFailedError);
    const task = await fleet.task(handle.id);
    assert.deepEqual([task.state, task.detail], [TaskState.FAILED, "TIMED_OUT"]);
    const events = await fleet.events(handle.id);
    assert.equal(events.filter((name) => name === "task.timed_out").length, 2);
    assert.equal(fleet.runs(handle.id).length, 1);
  });

  const held = [
    {
      what: "the run",
      payload: { phaseMs: 0, thenMs: 700 },
      timeouts: { runS: 0.3 },
      says: /run took longer/,
    },
    {
      what: "a phase",
      payload: { phaseMs: 700, thenMs: 0 },
      timeouts: { phasesS: { inference: 0.3 } },
      says: /[Pp]hase inference/,
    },
  ];
  for (const { what, payload, timeouts, says } of held) {
    it(`T27: a handler that holds the main loop beyond the timeout of ${what} is retried, and fails`, async () => {
      const queue = `hog-${what.replace(" ", "-")}`;
      await fleet.worker(queue, { queue, slots: 1 });
      const retry = { maxRetries: 1, delaysS: [0] };
      const handle = await fleet.client.submit("hog", payload, { queue, timeouts, retry });
      await assert.rejects(handle.result(), TaskFailedError);
      const { attemptCount, detail, failure } = await fleet.task(handle.id);
      assert.deepEqual([attemptCount, detail, failure?.code], [2, "RETRIES_EXHAUSTED", "TIMED_OUT"]);
      assert.match(failure?.message ?? "", says);
    });
  }

  it("T27: a handler gives its phase more time than its task, and less", async () => {
    const queue = "extends";
    await fleet.worker(queue, { queue, slots: 3, file: "watched.ts" });
    const gate = fleet.gate();
    const limits = { queue, timeouts: { phasesS: { inference: 0.5 } }, retry: { retryTimeouts: false } };
    const submit = (payload: object) =>
      fleet.client.submit("extends", { gate: gate.path, ...payload }, limits);
    const extended = await submit({ timeoutS: 600 });
    const shortened = await submit({ timeoutS: 0.2, deaf: true });
    await fleet.taskReason(shortened.id, "TIMING_OUT", 200 + 2 * H, {
      evidence: { timeout: /^inference$/, timeout_ms: /^[2-9]\d\d$/, timeout_set_by: /^the handler/ },
    });
    // It has the limit of the task, which the first one has passed by the time that it ends.
    await assert.rejects((await submit({})).result(), TaskFailedError);
    assert.equal((await fleet.task(extended.id)).state, TaskState.RUNNING);
    gate.open();
    assert.deepEqual(await extended.result(), { worker: queue });
    await assert.rejects(shortened.result(), TaskFailedError);
    const { metrics } = await fleet.task(extended.id);
    assert.ok(Number(metrics?.phases[0]?.timeout?.seconds) >= 600);
  });

  it("T27: the scheduler keeps to it where the worker does not", async () => {
    const raw = await RawWorker.connect(fleet.scheduler.grpc, {
      workerId: "careless",
      hello: { queues: ["careless"] },
    });
    const late = await fleet.client.submit("echo", 1, {
      queue: "careless",
      timeouts: { runS: 0.3 },
      retry: { maxRetries: 0 },
    });
    const { attemptId } = await raw.assignment(late.id);
    await raw.next("cancelAttempt", (cancel) => cancel.attemptId === attemptId && cancel.timedOut);
    raw.succeed(attemptId);
    await assert.rejects(late.result(), TaskFailedError);
    const task = await fleet.task(late.id);
    assert.equal(task.detail, "TIMED_OUT");
    assert.match(
      task.failure?.message ?? "",
      /^the attempt passed its run timeout of 300 ms after \d+ ms; what/,
    );

    const phase = await fleet.client.submit("echo", 2, {
      queue: "careless",
      timeouts: { phasesS: { inference: 0.3 } },
      retry: { retryTimeouts: false },
    });
    const second = (await raw.assignment(phase.id)).attemptId;
    raw.send({
      case: "taskEvent",
      value: { attemptId: second, sequence: 1n, name: "task.inference.started" },
    });
    await raw.next("cancelAttempt", (cancel) => cancel.attemptId === second && cancel.timedOut);
    await fleet.taskReason(phase.id, "TIMING_OUT", H);
    raw.succeed(second);
    await assert.rejects(phase.result(), TaskFailedError);
    assert.match(
      (await fleet.task(phase.id)).failure?.message ?? "",
      /timeout of its phase inference, 300 ms,/,
    );
  });

  it("T27: a run that ended in time is a success, however late its result arrives", async () => {
    const raw = await RawWorker.connect(fleet.scheduler.grpc, {
      workerId: "punctual",
      hello: { queues: ["punctual"] },
    });
    const handle = await fleet.client.submit("echo", 1, { queue: "punctual", timeouts: { runS: 0.3 } });
    const { attemptId } = await raw.assignment(handle.id);
    await raw.next("cancelAttempt", (cancel) => cancel.attemptId === attemptId);
    raw.send({
      case: "taskResults",
      value: {
        results: [
          {
            attemptId,
            outcome: { case: "succeeded", value: { output: Buffer.from("7") } },
            metrics: { runDuration: { seconds: 0n, nanos: 200e6 } },
          },
        ],
      },
    });
    assert.equal(await handle.result(), 7);
    await within("succeeded", H, async () =>
      (await fleet.task(handle.id)).state === TaskState.SUCCEEDED ? true : undefined,
    );
  });
});
