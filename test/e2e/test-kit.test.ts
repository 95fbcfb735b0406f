import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Worker } from "@muster/worker";
import { defineTask } from "@muster/worker/task";
import { blockLoop, type TestKit, testKit } from "@muster/worker/testing";
import { z } from "zod";
import { createDatabase, type TestDatabase } from "../support/database/postgres.ts";

const FILE = new URL("../support/workers/kit.ts", import.meta.url);

/** Flags of Node with which a worker's file finds the packages' sources. */
const nodeOptions = process.execArgv.filter((option) => option.startsWith("--conditions"));

describe("testKit()", { timeout: 120_000 }, () => {
  let db: TestDatabase;
  let kit: TestKit;

  // On the suite's server: docs/testing.md and the packed packages start one of their own.
  before(async () => {
    db = await createDatabase();
    kit = await testKit({ databaseUrl: db.url, args: ["--lease", "1.5"] });
  });

  after(async () => {
    await kit.stop();
    await db.drop();
  });

  it("runs tasks of workers in this process, and waits for them", async () => {
    const add = defineTask({ type: "kit.add", input: z.object({ a: z.number() }), output: z.number() });
    const started = await kit.start((connection) => new Worker(connection).handle(add, ({ a }) => a + 1));
    assert.equal(await add.run(kit.client, { a: 1 }), 2);
    const task = await kit.waitFor({ type: add, state: "succeeded" });
    assert.equal(task.result?.json, 2);
    assert.equal(task.workerId, started.worker.id);
    assert.ok(started.log.some(({ fields }) => fields.event === "task.completed"));
    assert.ok(kit.scheduler.log.some(({ fields }) => fields.event === "scheduler.started"));
    await started.stop();
  });

  it("says what there is instead, with the explanation of muster why", async () => {
    await assert.rejects(kit.waitFor({ type: "kit.none", state: "succeeded" }, { timeoutS: 0.05 }), {
      message:
        "No task of type kit.none was succeeded within 0.05 s. There is no such task; there are tasks of the types kit.add.",
    });
    const { id } = await kit.client.submit("kit.lost", null);
    await assert.rejects(
      kit.waitFor({ id, state: ["succeeded", "failed"] }, { timeoutS: 0.05 }),
      (error: Error) => {
        assert.match(
          error.message,
          /^No task t-\d+ was succeeded or failed within 0\.05 s\. Instead: t-\d+ is queued \(0 attempts\)\. \n/,
        );
        assert.match(error.message, /\nmuster why t-\d+:\n {2}NO_WORKERS: no worker is connected.*\n {4}-> /);
        return true;
      },
    );
    await assert.rejects(
      kit.waitFor({ state: "done" as never }),
      /the state "done" is none of queued, assigned/,
    );
    await assert.rejects(kit.waitFor({ state: "queued" }, { timeoutS: 0 }), /timeoutS is 0/);
  });

  it("cuts, refuses, freezes and delays the connection of a worker; its results arrive all the same", async () => {
    const gate = new Map<string, PromiseWithResolvers<void>>();
    const { network, stop } = await kit.start({
      concurrency: 4,
      tasks: { "kit.gate": (ctx) => gate.get(String(ctx.payload))?.promise },
    });
    const running = async (name: string) => {
      gate.set(name, Promise.withResolvers());
      const task = await kit.client.submit("kit.gate", name, { maxIterations: 1 });
      await kit.waitFor({ id: task.id, state: "running" });
      return task;
    };
    const cut = await running("cut");
    network.cut();
    await network.reconnected();
    gate.get("cut")?.resolve();
    await kit.waitFor({ id: cut.id, state: "succeeded" });
    assert.equal((await cut.get()).attemptCount, 1);

    const refused = await running("refused");
    network.refuse();
    gate.get("refused")?.resolve();
    // Longer than a session without a stream is kept: the task waits again, and runs again.
    await kit.waitFor({ id: refused.id, state: "queued" });
    network.heal();
    await kit.waitFor({ id: refused.id, state: "succeeded" });

    const delayed = await running("delayed");
    network.delay(0.3);
    const beganMs = performance.now();
    gate.get("delayed")?.resolve();
    await kit.waitFor({ id: delayed.id, state: "succeeded" });
    assert.ok(performance.now() - beganMs > 250);
    network.heal();

    const frozen = await running("frozen");
    network.freeze();
    gate.get("frozen")?.resolve();
    await assert.rejects(kit.waitFor({ id: frozen.id, state: "succeeded" }, { timeoutS: 0.2 }), /is running/);
    network.heal();
    await kit.waitFor({ id: frozen.id, state: "succeeded" });
    await stop();
  });

  it("sends messages twice: an assignment runs once, a result counts once", async () => {
    let runs = 0;
    const { network, stop } = await kit.start({ tasks: { "kit.once": () => ++runs } });
    const assignments = await network.duplicate("assignments");
    const results = await network.duplicate("taskResults", 2);
    const first = await kit.client.submit("kit.once");
    assert.equal(await first.result({ timeoutS: 20 }), 1);
    const second = await kit.client.submit("kit.once");
    assert.equal(await second.result({ timeoutS: 20 }), 2);
    await Promise.all([assignments.sent, results.sent]);
    assert.equal((await first.get()).attemptCount, 1);
    await assert.rejects(network.duplicate("taskResults", 0), /the count is an integer from 1 to 1000/);
    await stop();
  });

  it("blocks the main loop: the scheduler and the connection go on, and say so", async () => {
    const { stop } = await kit.start({
      tasks: {
        "kit.block": () => {
          // Longer than a lease: the thread of the connection renews it.
          blockLoop(2);
          return "done";
        },
      },
    });
    const task = await kit.client.submit<string>("kit.block");
    assert.equal(await task.result({ timeoutS: 20 }), "done");
    assert.equal((await task.get()).attemptCount, 1);
    await stop();
  });

  it("kills a worker's process: its task goes to the next worker", async () => {
    const first = await kit.spawn(FILE, { nodeOptions });
    const task = await kit.client.submit("slow", null, { retry: { lostDelaysS: [0] } });
    await kit.waitFor({ id: task.id, state: "running" });
    first.suspend();
    first.resume();
    assert.deepEqual(await first.kill(), { code: null, signal: "SIGKILL" });
    const second = await kit.spawn(FILE, { nodeOptions });
    const filter = { id: task.id, state: "running", workerId: second.id } as const;
    assert.equal((await kit.waitFor(filter, { timeoutS: 20 })).attemptCount, 2);
    await task.cancel();
    await kit.waitFor({ id: task.id, state: "cancelled" });
    assert.deepEqual(await second.stop(), { code: 0, signal: null });
    await assert.rejects(
      kit.spawn(new URL("./nowhere.ts", FILE)),
      /The worker worker-\d+ ended with code 1 before\. Its last lines:[\s\S]*MODULE_NOT_FOUND/,
    );
  });

  it("leaves nothing behind", async () => {
    const { databaseUrl } = kit.scheduler;
    await using other = await testKit({ databaseUrl, args: ["--lease", "5"] });
    assert.notEqual(other.scheduler.address, kit.scheduler.address);
    await other.stop();
    await other.stop();
    await assert.rejects(
      testKit({ databaseUrl, args: ["--lease", "soon"] }),
      /^Error: The scheduler of testKit\(\) could not be started: --lease: "soon" is not a number/,
    );
  });
});
