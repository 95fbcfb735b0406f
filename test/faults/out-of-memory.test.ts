import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { SchedulerPair } from "../support/fleet/scheduler-pair.ts";
import { runMuster } from "../support/programs/run-muster.ts";
import { supervise, workerCommand } from "../support/programs/supervised.ts";

/** V8 takes some seconds to fill its heap and to give up; then a poll of a busy machine. */
const BOUND_MS = 30_000;

describe("out-of-memory deaths with two schedulers", () => {
  let pair: SchedulerPair;

  before(async () => {
    pair = await SchedulerPair.start();
  });

  after(() => pair.stop());

  it("F14: a raised cost and its cause are known when the scheduler that saw the death is killed", async () => {
    const queue = "hungry";
    const small = await supervise(pair.fleet, queue, {
      scheduler: pair.one.grpc,
      command: workerCommand("memory.ts", ["--max-old-space-size=64"]),
      env: { CAPACITIES: '{"memory_mb": 64}' },
    });
    const task = await pair.atTwo.submit(
      "heap",
      { once: true },
      {
        queue,
        cost: { memory_mb: 40 },
        retry: { onOutOfMemory: { cost: { memory_mb: { by: "x2", max: 70 }, disk_mb: "+10" } } },
      },
    );
    await small.supervisor.ended;
    const change = "disk_mb from 0 to 10, memory_mb from 40 to 70";
    await pair.fleet.taskReason(task.id, "NEVER_FITS", BOUND_MS, {
      evidence: {
        cost_raised: new RegExp(`^${change} by its retry policy, because ${task.id}\\.1 ran out of memory$`),
        cost_memory_mb: /^70 asked, at most 64 known: hungry, ended /,
      },
      commands: [`muster cancel ${task.id}`, "onOutOfMemory"],
    });
    const { events } = await pair.fleet.client.fleet.listEvents({ taskId: task.id });
    const requeued = events.find(({ name }) => name === "requeued:oom_killed");
    assert.equal(requeued?.attributes.cost_raised, change);
    await pair.one.program.end("SIGKILL");
    const { stdout } = await runMuster(pair.two.grpc, ["why", task.id]);
    assert.match(
      stdout,
      new RegExp(`NEVER_FITS[^]*its retry policy raised the cost when ${task.id}\\.1 ran out`),
    );

    await pair.fleet.worker("hungry-large", {
      ...{ queue, file: "memory.ts", scheduler: pair.two.grpc },
      env: { CAPACITIES: '{"memory_mb": 70, "disk_mb": 10}' },
    });
    assert.deepEqual(await pair.atTwo.handle(task.id).result(), { runs: 2 });
    const { requirements, workerId } = await pair.fleet.task(task.id);
    assert.deepEqual(requirements?.cost, { memory_mb: 70n, disk_mb: 10n });
    assert.equal(workerId, "hungry-large");
  });
});
