import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { KEEPING, SchedulerPair } from "../support/fleet/scheduler-pair.ts";
import { runMuster } from "../support/programs/run-muster.ts";
import { until } from "../support/waits.ts";

describe("F39: checkpoints with two schedulers", () => {
  let pair: SchedulerPair;

  before(async () => {
    pair = await SchedulerPair.start(KEEPING);
  });

  after(() => pair.stop());

  /** Resolves when the handlers have noted this. */
  const noted = (acks: string, line: RegExp) =>
    until(`${line} is noted`, () => (existsSync(acks) && line.test(readFileSync(acks, "utf8"))) || undefined);

  const next = (id: string, queue: string) =>
    pair.fleet.worker(id, { queue, slots: 1, scheduler: pair.one.grpc });

  it("an attempt goes on from the last one of an attempt whose worker was killed", async () => {
    const [gate, acks] = [pair.fleet.gate(), pair.fleet.gate().path];
    const queue = "killed";
    const dies = await pair.fleet.worker("dies-1", { queue, slots: 1, scheduler: pair.two.grpc });
    const payload = { last: 5, gates: { 3: gate.path }, acks };
    const handle = await pair.atOne.submit<{ from: number; earlier: unknown }>("steps", payload, { queue });
    await noted(acks, /stored 3/);
    // Progress is sent at most ten times a second: that of the third step may follow its checkpoint.
    await until("the third step is the task's progress", async () =>
      (await handle.get()).progress?.doneCount === 3 ? true : undefined,
    );
    await dies.end("SIGKILL");
    const shown = await runMuster(pair.one.grpc, ["task", handle.id]);
    assert.match(shown.stdout, /^progress\t3 of 5 steps.* \((now|\d+ s ago)\)$/m);
    assert.match(
      shown.stdout,
      new RegExp(`^checkpoint\t1 B of application/json by ${handle.id}\\.1, stored (now|\\d+ s ago)$`, "m"),
    );
    await next("goes-on-1", queue);
    assert.deepEqual(await handle.result(), { from: 3, earlier: { done: 3, total: 5, unit: "steps" } });
  });

  it("one that is on its way when the scheduler is killed is stored by the next, and is there after the worker's death", async () => {
    const [first, second, acks] = [pair.fleet.gate(), pair.fleet.gate(), pair.fleet.gate().path];
    const queue = "moved";
    const scheduler = `${pair.two.grpc},${pair.one.grpc}`;
    const moves = await pair.fleet.worker("moves", { queue, slots: 1, scheduler });
    const gates = { 2: first.path, 3: second.path };
    const handle = await pair.atOne.submit<{ from: number }>("steps", { last: 4, gates, acks }, { queue });
    await noted(acks, /stored 2/);
    await pair.two.program.end("SIGKILL");
    first.open();
    await noted(acks, /stored 3/);
    await moves.end("SIGKILL");
    await next("goes-on-2", queue);
    assert.equal((await handle.result()).from, 3);
    await pair.fleet.restart(pair.two);
  });

  it("one of an attempt that was taken from its worker is refused, and that of the next attempt stays", async () => {
    const [gate, acks] = [pair.fleet.gate(), pair.fleet.gate().path];
    const queue = "stale";
    await pair.fleet.worker("deaf", { queue, slots: 1, scheduler: pair.two.grpc });
    const payload = { last: 2, gates: { 1: gate.path }, deaf: true, acks };
    const handle = await pair.atTwo.submit<{ from: number }>("steps", payload, { queue });
    await noted(acks, /\.1 stored 1$/m);
    await pair.muster("revoke", handle.id, "--reason", "a test");
    gate.open();
    await noted(acks, /refused 2: CheckpointError: .*no longer this worker's/);
    assert.equal((await handle.result()).from, 1);
  });

  it("of many that are not waited for the last one counts, and it is stored before the failure", async () => {
    const queue = "burst";
    await next("bursts", queue);
    const handle = await pair.atTwo.submit<{ n: number }>(
      "burst",
      { count: 40 },
      { queue, retry: { delaysS: [0] } },
    );
    assert.equal((await handle.result()).n, 40);
  });

  it("a retry by hand goes on from the last one, and afresh it does not", async () => {
    const acks = pair.fleet.gate().path;
    const queue = "by-hand";
    await next("fails", queue);
    const payload = { last: 4, failAt: 2, acks };
    const submitted = () =>
      pair.atOne.submit<{ from: number; earlier: unknown }>("steps", payload, {
        queue,
        retry: { maxRetries: 0 },
      });
    const [kept, afresh] = [await submitted(), await submitted()];
    for (const handle of [kept, afresh]) await assert.rejects(handle.result(), /ON_PURPOSE/);
    await pair.muster("retry", kept.id);
    assert.deepEqual(await kept.result(), { from: 2, earlier: { done: 2, total: 4, unit: "steps" } });
    await pair.muster("retry", afresh.id, "--afresh");
    await assert.rejects(afresh.result(), /ON_PURPOSE/);
    await pair.muster("retry", afresh.id, "--afresh", "--all").then(
      () => assert.fail("ids are given together with --all"),
      (error: Error) => assert.match(error.message, /--all is given together with ids/),
    );
    await pair.muster("retry", "--queue", queue, "--afresh", "--yes");
    await assert.rejects(afresh.result(), /ON_PURPOSE/);
    assert.equal(readFileSync(acks, "utf8").match(/stored 1$/gm)?.length, 4, "it began with the first step");
  });
});
