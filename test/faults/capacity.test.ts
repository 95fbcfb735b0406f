import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import type { SubmitOptions } from "@muster/worker/client";
import { KEEPING, SchedulerPair } from "../support/fleet/scheduler-pair.ts";
import { runMuster } from "../support/programs/run-muster.ts";
import { until } from "../support/waits.ts";

/** Longest time until an explanation is that of the other scheduler's worker: a heartbeat of a busy machine. */
const BOUND_MS = 5_000;

describe("T48: capacities with two schedulers", () => {
  let pair: SchedulerPair;

  before(async () => {
    pair = await SchedulerPair.start(KEEPING);
  });

  after(() => pair.stop());

  const gpuWorker = (
    id: string,
    gpu: number,
    options: { slots: number; scheduler: string; prefetch?: number },
  ) =>
    pair.fleet.worker(id, {
      ...{ queue: id, slots: options.slots, scheduler: options.scheduler },
      env: { CAPACITIES: JSON.stringify({ gpu }), PREFETCH: String(options.prefetch ?? 0) },
    });

  /** What the handlers of the worker took together, each time that one began. */
  function taken(workerId: string): number[] {
    const file = `${pair.fleet.runsFile}-taken`;
    const lines = existsSync(file) ? readFileSync(file, "utf8").split("\n") : [];
    return lines.flatMap((line) => (line.startsWith(`${workerId} `) ? [Number(line.split(" ")[1])] : []));
  }

  async function assertFree(workerId: string): Promise<void> {
    await until(`nothing is taken of ${workerId}`, async () => {
      const { worker } = await pair.atOne.fleet.getWorker({ workerId });
      return worker?.capacities.every(({ used }) => used === 0n) || undefined;
    });
  }

  it("what a worker runs at once never costs more than it has, while it moves from a scheduler that is killed", async () => {
    const queue = "moves";
    const both = `${pair.two.grpc},${pair.one.grpc}`;
    const mover = await gpuWorker(queue, 10, { slots: 8, prefetch: 4, scheduler: both });
    const gate = pair.fleet.gate();
    const task = (n: number) => {
      const gpu = 3 + (n % 2);
      return {
        type: "take",
        queue,
        cost: { gpu },
        payload: { gpu, ms: 5, ...(n < 2 ? { gate: gate.path } : {}) },
      };
    };
    const specs = Array.from({ length: 60 }, (_, n) => task(n));
    const handles = await pair.atOne.submitMany(specs.slice(0, 30));
    const [first] = handles;
    await pair.fleet.eventually(first?.id ?? "", "started");
    const mark = mover.mark();
    await pair.two.program.end("SIGKILL");
    await mover.line("worker.reconnected", () => true, { after: mark });
    const { worker } = await pair.atOne.fleet.getWorker({ workerId: queue });
    const gpu = worker?.capacities.find(({ name }) => name === "gpu");
    assert.ok(Number(gpu?.used) >= 3 && Number(gpu?.used) <= 10, `${gpu?.used} are taken after the move`);
    handles.push(...(await pair.atOne.submitMany(specs.slice(30))));
    gate.open();
    await Promise.all(handles.map((handle) => handle.result()));
    const most = Math.max(...taken(queue));
    assert.ok(most > 7 && most <= 10, `${most} were taken at once`);
    await assertFree(queue);
    await pair.fleet.restart(pair.two, KEEPING);
  });

  it("the short capacity is named with what holds it, at both schedulers", async () => {
    const queue = "short";
    await gpuWorker(queue, 8, { slots: 4, scheduler: pair.one.grpc });
    const gate = pair.fleet.gate();
    const holder = await pair.atOne.submit("take", { gpu: 6, gate: gate.path }, { queue, cost: { gpu: 6 } });
    await pair.fleet.started(holder.id);
    const waiter = await pair.atTwo.submit("take", { gpu: 4 }, { queue, cost: { gpu: 4 } });
    const { reason } = await pair.fleet.taskReason(waiter.id, "ALL_SLOTS_BUSY", BOUND_MS);
    const fact = reason.evidence.find(({ key }) => key === "short_gpu")?.value ?? "";
    assert.match(
      fact,
      new RegExp(`^short: 4 needed, 2 of 8 gpu free; held by ${holder.id}\\.\\d+ \\(take, 6 gpu\\)`),
    );
    await until("the other scheduler names it, too", async () => {
      const { explanation } = await pair.atTwo.tasks.explainTask({ taskId: waiter.id });
      const [first] = explanation?.reasons ?? [];
      return (first?.code === "ALL_SLOTS_BUSY" && first.summary.includes("2 of 8 gpu free")) || undefined;
    });
    const { stdout } = await runMuster(pair.one.grpc, ["worker", queue]);
    assert.match(stdout, /capacities\tgpu 6\/8/);
    gate.open();
    await Promise.all([holder.result(), pair.atOne.handle(waiter.id).result()]);
    await assertFree(queue);
  });

  it("a cost that no known worker has is NEVER_FITS, until a larger worker registers", async () => {
    const queue = "large";
    const options: SubmitOptions = { queue, cost: { gpu: 20 } };
    assert.deepEqual((await pair.atOne.submit("echo", 0, options)).warnings, [], "no worker is known");
    await gpuWorker(queue, 8, { slots: 1, scheduler: pair.one.grpc });
    const task = await pair.atTwo.submit("echo", 1, options);
    assert.deepEqual(
      task.warnings.map(({ code }) => code),
      ["NEVER_FITS"],
    );
    await pair.fleet.taskReason(task.id, "NEVER_FITS", BOUND_MS, {
      evidence: { cost_gpu: /^20 asked, at most 8 known: large, connected$/ },
      commands: [`muster cancel ${task.id}`],
    });
    const args = ["submit", "echo", "2", "--queue", queue, "--cost", "gpu=20"];
    // The other scheduler may remember for a second that it knew no worker.
    const submitted = await runMuster(pair.two.grpc, args);
    assert.equal(submitted.code, 0);
    assert.match(submitted.stderr, /^warning: NEVER_FITS it costs 20 gpu, .* has 8 \(large, connected\)/);
    await until("the doctor finds it", async () => {
      const { stdout } = await runMuster(pair.one.grpc, ["doctor"]);
      return (
        /work\.never_fits.*3 tasks wait and no known worker has the capacities/.test(stdout) || undefined
      );
    });
    const larger = await pair.fleet.worker("larger", {
      ...{ queue, slots: 1, scheduler: pair.two.grpc },
      env: { CAPACITIES: '{"gpu":24}' },
    });
    assert.equal(await task.result(), 1);
    assert.deepEqual((await pair.atOne.submit("echo", 3, options)).warnings, []);
    await larger.end("SIGTERM");
    const late = await pair.atOne.submit("echo", 4, options);
    assert.deepEqual(late.warnings, [], "a worker that had enough is recorded");
    await pair.fleet.taskReason(late.id, "NO_WORKER_FITS", BOUND_MS, {
      evidence: { too_small: /^large has 8 gpu$/, large_enough: /^larger ended / },
    });
    await late.cancel();
  });

  it("a large task is not kept waiting by small ones that were submitted after it", async () => {
    const queue = "mixed";
    await pair.fleet.worker(queue, { queue, slots: 4, scheduler: pair.one.grpc });
    const small = (count: number) =>
      Array.from({ length: count }, () => ({ type: "sleep", payload: { ms: 10 }, queue }));
    const gate = pair.fleet.gate();
    const blocker = await pair.atOne.submit("gate", { gate: gate.path }, { queue });
    await pair.fleet.started(blocker.id);
    const large = await pair.atOne.submit("sleep", { ms: 1 }, { queue, cost: { slots: 4 } });
    const later = await pair.atOne.submitMany(small(20));
    const { reason } = await pair.fleet.taskReason(later[0]?.id ?? "", "ALL_SLOTS_BUSY", BOUND_MS);
    assert.match(
      reason.summary,
      new RegExp(`mixed keeps what it has free for ${large.id} \\(sleep, 4 slots\\)`),
    );
    gate.open();
    await Promise.all([blocker, large, ...later].map((handle) => handle.result()));
    const order = readFileSync(pair.fleet.runsFile, "utf8")
      .split("\n")
      .map((line) => line.split(" ")[0]);
    const started = order.indexOf(large.id);
    assert.ok(later.every(({ id }) => order.indexOf(id) > started));
    await assertFree(queue);
  });
});
