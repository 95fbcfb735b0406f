import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { TaskHandle } from "@muster/worker/client";
import { assertDependencies } from "../support/database/dependencies.ts";
import { openTransaction } from "../support/database/locker.ts";
import { KEEPING, SchedulerPair } from "../support/fleet/scheduler-pair.ts";
import { until } from "../support/waits.ts";

/** The fault table's bound. */
const BOUND_MS = 1_000;

describe("T51: dependencies with two schedulers", () => {
  let pair: SchedulerPair;

  before(async () => {
    pair = await SchedulerPair.start(KEEPING);
  });

  after(() => pair.stop());

  it("a dependent starts at the other scheduler when its predecessors have ended, and not before", async () => {
    const gate = pair.fleet.gate();
    await Promise.all([
      pair.fleet.worker("first", { queue: "firsts", slots: 4, scheduler: pair.one.grpc }),
      pair.fleet.worker("next", { queue: "nexts", slots: 4, scheduler: pair.two.grpc }),
    ]);
    const [held, quick, join] = (await pair.atOne.submitMany([
      { type: "gate", payload: { gate: gate.path }, queue: "firsts" },
      { type: "echo", payload: 1, queue: "firsts" },
      {
        ...{ type: "echo", payload: 2, queue: "nexts" },
        after: [{ entry: 0 }, { entry: 1, when: "ended" }],
      },
    ])) as [TaskHandle, TaskHandle, TaskHandle];
    await quick.result();
    const { reason } = await pair.fleet.taskReason(join.id, "WAITING_FOR_TASKS", BOUND_MS, {
      evidence: {
        predecessors: /^2$/,
        predecessor: new RegExp(`^the success of ${held.id} \\(gate\\), which is`),
      },
      commands: [`muster why ${held.id}`],
    });
    assert.match(reason.summary, /^it waits for 1 task of 2: /);
    assert.equal((await pair.atTwo.get(join.id)).detail, "waiting_for_tasks");
    assert.match(
      await pair.muster("task", join.id),
      new RegExp(`waits for\\t${held.id}\\tsucceeded\\trunning`),
    );
    assert.match(
      await pair.muster("dependencies", held.id),
      new RegExp(`waited for by\\t${join.id}\\tsucceeded\\tqueued`),
    );
    const later = await pair.atTwo.submit("echo", 3, {
      queue: "nexts",
      after: [{ task: join }, { task: quick }],
    });
    assert.equal(pair.fleet.runs(join.id).length, 0);
    gate.open();
    assert.equal(await later.result(), 3);
    assert.equal(await join.result(), 2);
    await assertDependencies(pair.fleet.db);
  });

  it("what waits for a task that fails ends with it, down the chain, and runs again in its order", async () => {
    const queue = "broken";
    await pair.fleet.worker("broken", { queue, slots: 4, scheduler: pair.two.grpc });
    const root = await pair.atOne.submit("fail", { nonRetryable: true }, { queue, delayS: 3_600 });
    const chain: TaskHandle[] = [root];
    for (let n = 0; n < 4; n++)
      chain.push(await pair.atTwo.submit("echo", n, { queue, after: [{ task: chain[n] as TaskHandle }] }));
    const last = chain.at(-1) as TaskHandle;
    await root.cancel("not wanted");
    await assert.rejects(last.result(), { name: "TaskCancelledError" });
    await pair.fleet.taskReason(last.id, "DEPENDENCY_FAILED", BOUND_MS, {
      evidence: {
        predecessor: new RegExp(`^${chain.at(-2)?.id} was cancelled`),
        first_of_the_chain: new RegExp(`^${root.id} was cancelled: not wanted$`),
      },
      commands: [`muster why ${root.id}`, "muster retry", `muster retry ${last.id}`],
    });
    await assert.rejects(last.retry(), { reason: "DEPENDENCY_FAILED" });
    assert.deepEqual(
      chain.slice(1).flatMap(({ id }) => pair.fleet.runs(id)),
      [],
    );
    await assertDependencies(pair.fleet.db);
  });

  it("a scheduler killed between the end of a predecessor and the start of its dependent", async () => {
    const queue = "killed";
    const gate = pair.fleet.gate();
    await pair.fleet.worker("mover", {
      queue,
      slots: 4,
      scheduler: `${pair.two.grpc},${pair.one.grpc}`,
    });
    const root = await pair.atOne.submit("gate", { gate: gate.path }, { queue });
    const [next, fan] = (await pair.atOne.submitMany([
      { type: "echo", payload: 1, queue, after: [{ task: root }] },
      { type: "echo", payload: 2, queue, after: [{ entry: 0 }, { task: root, when: "ended" }] },
    ])) as [TaskHandle, TaskHandle];
    await pair.fleet.eventually(root.id, "started");
    // The second scheduler takes the end, and stops at the dependent's row.
    const locker = await openTransaction(
      pair.fleet.db.url,
      `select from task where id = ${next.id.slice(2)} for update`,
    );
    pair.one.program.kill("SIGSTOP");
    gate.open();
    await until("the second scheduler has taken the end", async () => {
      const [row] = await pair.fleet.db.query<{ name: string }>(
        `select application_name as name from pg_stat_activity
          where datname = current_database() and wait_event_type = 'Lock' and query like '%dependency_end%'`,
      );
      return row?.name.startsWith(`muster ${pair.two.id} `) || undefined;
    });
    await pair.two.program.end("SIGKILL");
    pair.one.program.kill("SIGCONT");
    assert.deepEqual(
      [next, fan].flatMap(({ id }) => pair.fleet.runs(id)),
      [],
    );
    await locker.release();
    assert.equal(await pair.atOne.handle(fan.id).result(), 2);
    for (const { id } of [next, fan]) assert.equal(pair.fleet.runs(id).length, 1);
    await assertDependencies(pair.fleet.db);
  });
});
