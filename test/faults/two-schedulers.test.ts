import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { TaskState } from "@muster/protocol";
import { Client, TaskCancelledError } from "@muster/worker/client";
import { Fleet, H } from "../support/fleet/fleet.ts";
import { FaultProxy } from "../support/peers/fault-proxy.ts";
import { killAll } from "../support/programs/program.ts";
import type { TestScheduler } from "../support/programs/scheduler.ts";
import { until, within } from "../support/waits.ts";

/** The polling of the tests' schedulers, milliseconds: what a lost hint costs. */
const POLL_MS = 200;

/** Leases that a machine under load does not let run out, and time to accept. */
const KEEPING = ["--lease", "3", "--reconnect-grace", "3", "--accept-deadline", "10"];

const ONE_LIFE = ["created", "assigned", "accepted", "started", "succeeded"];

describe("two schedulers on one database", () => {
  let fleet: Fleet;
  let one: TestScheduler;
  let two: TestScheduler;
  let atOne: Client;
  let atTwo: Client;

  before(async () => {
    // Most of these tests show that attempts are kept.
    fleet = await Fleet.start({ schedulers: 2, args: KEEPING });
    [one, two] = fleet.schedulers as [TestScheduler, TestScheduler];
    atOne = new Client({ scheduler: one.grpc });
    atTwo = new Client({ scheduler: two.grpc });
  });

  after(async () => {
    atOne.close();
    atTwo.close();
    await killAll();
    await fleet.stop();
  });

  it("work submitted at one is run by a worker of the other, and the result is known at both", async () => {
    await fleet.worker("across", { queue: "across", scheduler: two.grpc });
    for (let round = 0; round < 5; round++) {
      const handle = await atOne.submit("echo", round, { queue: "across" });
      await within(
        "it is known at the other scheduler",
        10 * POLL_MS,
        async () => (await atTwo.get(handle.id)).state === TaskState.SUCCEEDED || undefined,
      );
      assert.equal(await handle.result(), round);
      assert.equal(fleet.runs(handle.id).length, 1);
      assert.deepEqual(await fleet.events(handle.id), ONE_LIFE);
    }
  });

  it("workers of both share the work, and nothing runs twice", async () => {
    await Promise.all([
      fleet.worker("share-1", { queue: "share", slots: 4, scheduler: one.grpc }),
      fleet.worker("share-2", { queue: "share", slots: 4, scheduler: two.grpc }),
    ]);
    const gate = fleet.gate();
    const specs = Array.from({ length: 200 }, () => ({
      type: "gate",
      payload: { gate: gate.path },
      queue: "share",
    }));
    const handles = (
      await Promise.all([atOne.submitMany(specs.slice(0, 100)), atTwo.submitMany(specs.slice(100))])
    ).flat();
    await until("both have something to do", () => {
      const busy = new Set(handles.flatMap(({ id }) => fleet.runs(id).map(({ workerId }) => workerId)));
      return busy.size === 2 || undefined;
    });
    gate.open();
    await Promise.all(handles.map((handle) => handle.result()));
    const workers = new Set<string>();
    for (const { id } of handles) {
      const runs = fleet.runs(id);
      assert.equal(runs.length, 1, `${id} ran ${runs.length} times`);
      workers.add(runs[0]?.workerId ?? "");
    }
    assert.deepEqual([...workers].sort(), ["share-1", "share-2"]);
  });

  it("a cancellation reaches a worker of the other scheduler, and so does a drain", async () => {
    const worker = await fleet.worker("reach", { queue: "reach", scheduler: two.grpc });
    const handle = await atOne.submit("sleep", { ms: 60_000 }, { queue: "reach" });
    await fleet.ran(handle.id);
    await handle.cancel("asked at the other scheduler");
    await assert.rejects(handle.result(), TaskCancelledError);
    assert.equal(fleet.runs(handle.id).length, 1);
    await atOne.fleet.drainWorker({ workerId: "reach", reason: "asked at the other scheduler" });
    assert.deepEqual(await worker.ended, { code: 0, signal: null });
    await fleet.workerReason("reach", "EXITED", H);
  });

  it("a worker that moves to the other scheduler keeps its attempts", async () => {
    const gate = fleet.gate();
    await using proxy = await FaultProxy.start(one.grpc);
    const worker = await fleet.worker("moves", { queue: "moves", scheduler: proxy.address });
    const handle = await atOne.submit("gate", { gate: gate.path }, { queue: "moves" });
    const asked = await atOne.submit("sleep", { ms: 60_000 }, { queue: "moves" });
    await fleet.ran(handle.id);
    await fleet.ran(asked.id);
    for (const target of [two, one, two]) {
      const mark = worker.mark();
      proxy.retarget(target.grpc);
      proxy.cut();
      const line = await worker.line("worker.reconnected", () => true, { after: mark });
      assert.equal(line.server_id, target.id);
      await within("the lease moves with it", 2 * H, async () =>
        (await fleet.workerState("moves")).schedulerId === target.id ? true : undefined,
      );
    }
    await asked.cancel("asked where the worker was before");
    await assert.rejects(asked.result(), TaskCancelledError);
    gate.open();
    assert.deepEqual(await handle.result(), { worker: "moves", attempt: 1 });
    assert.equal(fleet.runs(handle.id).length, 1);
    assert.equal(fleet.runs(asked.id).length, 1);
    assert.deepEqual(await fleet.events(handle.id), ONE_LIFE);
  });

  it("moves under load lose nothing and rerun nothing", async () => {
    await using proxy = await FaultProxy.start(one.grpc);
    const worker = await fleet.worker("busy", { queue: "busy", slots: 6, scheduler: proxy.address });
    const handles = await atTwo.submitMany(
      Array.from({ length: 200 }, (_, n) => ({
        type: "sleep",
        payload: { ms: 10 + (n % 20) },
        queue: "busy",
      })),
    );
    for (const target of [two, one, two, one]) {
      const mark = worker.mark();
      proxy.retarget(target.grpc);
      proxy.cut();
      await worker.line("worker.reconnected", () => true, { after: mark });
    }
    await Promise.all(handles.map((handle) => handle.result()));
    for (const { id } of handles) assert.equal(fleet.runs(id).length, 1, `${id} ran more than once`);
  });

  it("a scheduler killed: its workers go over with their tasks, dead ones are recovered by the other", async () => {
    const gate = fleet.gate();
    const addresses = `${two.grpc},${one.grpc}`;
    const mover = await fleet.worker("mover", { queue: "killed", slots: 1, scheduler: addresses });
    // On a busy machine the first dial may take too long: then it is registered at the second address.
    const { server_id } = await mover.line("worker.startup.phase", ({ phase }) => phase === "registered");
    const [home, other] = server_id === two.id ? [two, one] : [one, two];
    const { client } = fleet;
    const kept = await client.submit("gate", { gate: gate.path }, { queue: "killed" });
    await fleet.started(kept.id);
    const victim = await fleet.worker("victim", { queue: "killed", slots: 1, scheduler: home.grpc });
    const recovered = await client.submit("gate", { gate: gate.path }, { queue: "killed" });
    await fleet.started(recovered.id);
    const mark = mover.mark();
    await home.program.end("SIGKILL");
    await victim.end("SIGKILL");
    const line = await mover.line("worker.reconnected", () => true, { after: mark });
    assert.equal(line.server_id, other.id);
    // No scheduler observes the drop of the victim's stream: its lease expires first.
    await fleet.workerReason("victim", "LOST", 3_000 + 3_000 + 2 * H);
    await fleet.eventually(recovered.id, "requeued:stale", 0);
    gate.open();
    assert.deepEqual(await client.handle(kept.id).result(), { worker: "mover", attempt: 1 });
    assert.deepEqual(await client.handle(recovered.id).result(), { worker: "mover", attempt: 2 });
    assert.equal(fleet.runs(kept.id).length, 1);
    assert.equal(fleet.runs(recovered.id).length, 2);
    assert.deepEqual(await fleet.events(kept.id), ONE_LIFE);
  });
});
