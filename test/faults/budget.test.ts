import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type Client, TaskFailedError } from "@muster/worker/client";
import { KEEPING, SchedulerPair } from "../support/fleet/scheduler-pair.ts";
import { runMuster } from "../support/programs/run-muster.ts";
import { until } from "../support/waits.ts";

describe("F38: a budget of iterations with two schedulers", () => {
  let pair: SchedulerPair;

  before(async () => {
    pair = await SchedulerPair.start(KEEPING);
  });

  after(() => pair.stop());

  /** Resolves when the database has so many iterations of the task. */
  async function counted(client: Client, taskId: string, count: number): Promise<void> {
    await until(`${taskId} has begun ${count} iterations`, async () => {
      const { task } = await client.tasks.getTask({ taskId });
      return task?.iterationCount === count || undefined;
    });
  }

  async function failure(result: Promise<unknown>): Promise<TaskFailedError> {
    const error = await result.catch((thrown: unknown) => thrown);
    assert.ok(error instanceof TaskFailedError, String(error));
    return error;
  }

  it("an attempt goes on after the iterations of one whose worker was killed", async () => {
    const gate = pair.fleet.gate();
    const queue = "killed";
    const dies = await pair.fleet.worker("dies-1", { queue, slots: 1, scheduler: pair.one.grpc });
    const payload = { last: 5, waitAt: 3, gate: gate.path };
    const handle = await pair.atTwo.submit<{ from: number }>("iterate", payload, { queue, maxIterations: 5 });
    await counted(pair.atTwo, handle.id, 3);
    await dies.end("SIGKILL");
    gate.open();
    await pair.fleet.worker("goes-on-1", { queue, slots: 1, scheduler: pair.two.grpc });
    assert.deepEqual(await handle.result(), { from: 4, max: 5 });
    const shown = await runMuster(pair.one.grpc, ["task", handle.id]);
    assert.match(shown.stdout, /^iterations\t5 of 5$/m);
  });

  it("the count survives a scheduler that is killed, and then the worker", async () => {
    const gate = pair.fleet.gate();
    const queue = "moved";
    const scheduler = `${pair.two.grpc},${pair.one.grpc}`;
    const moves = await pair.fleet.worker("moves", { queue, slots: 1, scheduler });
    const handle = await pair.atOne.submit<{ from: number }>(
      "iterate",
      { last: 4, waitAt: 2, gate: gate.path },
      { queue },
    );
    await counted(pair.atOne, handle.id, 2);
    await pair.two.program.end("SIGKILL");
    await until("the worker is back at the other scheduler", async () =>
      (await pair.fleet.workerState("moves")).schedulerId === pair.one.id ? true : undefined,
    );
    await moves.end("SIGKILL");
    gate.open();
    await pair.fleet.worker("goes-on-2", { queue, slots: 1, scheduler: pair.one.grpc });
    assert.equal((await handle.result()).from, 3);
    await pair.fleet.restart(pair.two);
  });

  it("the task ends for good when its handler asks for more, and a retry by hand counts again", async () => {
    const queue = "asks";
    await pair.fleet.worker("asks", { queue, slots: 1, scheduler: pair.one.grpc });
    const handle = await pair.atTwo.submit(
      "iterate",
      { last: 9, failAt: 2 },
      { queue, maxIterations: 4, retry: { delaysS: [0] } },
    );
    const error = await failure(handle.result());
    assert.deepEqual([error.code, error.detail], ["BUDGET_EXHAUSTED", "BUDGET_EXHAUSTED"]);
    assert.equal(
      pair.fleet.runs(handle.id).length,
      2,
      "the second attempt went on after the second iteration",
    );
    await pair.fleet.taskReason(handle.id, "BUDGET_EXHAUSTED", 0, {
      evidence: {
        ...{ attempt: /ON_PURPOSE/, max_iterations: /^4$/, iterations: /^4$/, worker: /^asks$/ },
        last_error: /^BUDGET_EXHAUSTED: Iteration 5 is beyond the budget of 4/,
      },
      commands: [`muster retry ${handle.id}`],
    });
    await handle.retry();
    await failure(handle.result());
    assert.equal(
      pair.fleet.runs(handle.id).length,
      4,
      "its first attempt began with the first iteration again",
    );
  });

  it("the task ends when the worker is lost in its last iteration", async () => {
    const gate = pair.fleet.gate();
    const queue = "lost";
    const dies = await pair.fleet.worker("dies-2", { queue, slots: 1, scheduler: pair.two.grpc });
    const payload = { last: 2, waitAt: 2, gate: gate.path };
    const handle = await pair.atOne.submit("iterate", payload, { queue, maxIterations: 2 });
    await counted(pair.atOne, handle.id, 2);
    await dies.end("SIGKILL");
    const error = await failure(handle.result());
    assert.deepEqual([error.code, error.detail], ["WORKER_LOST", "BUDGET_EXHAUSTED"]);
    await pair.fleet.taskReason(handle.id, "BUDGET_EXHAUSTED", 0, {
      evidence: {
        ...{ attempt: /./, max_iterations: /^2$/, iterations: /^2$/, worker: /^dies-2$/ },
        last_error: /^WORKER_LOST: /,
      },
      commands: [`muster retry ${handle.id}`],
    });
    const refused = await runMuster(pair.one.grpc, ["submit", "iterate", "1", "--max-iterations", "0"]);
    assert.equal(refused.code, 2);
  });
});
