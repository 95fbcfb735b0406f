import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { TaskCancelledError } from "@muster/worker/client";
import { H } from "../support/fleet/fleet.ts";
import { KEEPING, SchedulerPair } from "../support/fleet/scheduler-pair.ts";
import { FaultProxy } from "../support/peers/fault-proxy.ts";
import { until, within } from "../support/waits.ts";

/** The polling of the tests' schedulers, milliseconds: what a lost hint costs. */
const POLL_MS = 200;

const ONE_LIFE = ["created", "assigned", "accepted", "started", "succeeded"];

describe("two schedulers on one database", () => {
  let pair: SchedulerPair;

  before(async () => {
    // Most of these tests show that attempts are kept.
    pair = await SchedulerPair.start(KEEPING);
  });

  after(() => pair.stop());

  it("work submitted at one is run by a worker of the other, and the result is known at both", async () => {
    await pair.fleet.worker("across", { queue: "across", scheduler: pair.two.grpc });
    for (let round = 0; round < 5; round++) {
      const handle = await pair.atOne.submit("echo", round, { queue: "across" });
      await within(
        "it is known at the other scheduler",
        10 * POLL_MS,
        async () => (await pair.atTwo.get(handle.id)).state === "succeeded" || undefined,
      );
      assert.equal(await handle.result(), round);
      assert.equal(pair.fleet.runs(handle.id).length, 1);
      assert.deepEqual(await pair.fleet.events(handle.id), ONE_LIFE);
    }
  });

  it("workers of both share the work, and nothing runs twice", async () => {
    await Promise.all([
      pair.fleet.worker("share-1", { queue: "share", slots: 4, scheduler: pair.one.grpc }),
      pair.fleet.worker("share-2", { queue: "share", slots: 4, scheduler: pair.two.grpc }),
    ]);
    const gate = pair.fleet.gate();
    const specs = Array.from({ length: 200 }, () => ({
      type: "gate",
      payload: { gate: gate.path },
      queue: "share",
    }));
    const handles = (
      await Promise.all([pair.atOne.submitMany(specs.slice(0, 100)), pair.atTwo.submitMany(specs.slice(100))])
    ).flat();
    await until("both have something to do", () => {
      const busy = new Set(handles.flatMap(({ id }) => pair.fleet.runs(id).map(({ workerId }) => workerId)));
      return busy.size === 2 || undefined;
    });
    gate.open();
    await Promise.all(handles.map((handle) => handle.result()));
    const workers = new Set<string>();
    for (const { id } of handles) {
      const runs = pair.fleet.runs(id);
      assert.equal(runs.length, 1, `${id} ran ${runs.length} times`);
      workers.add(runs[0]?.workerId ?? "");
    }
    assert.deepEqual([...workers].sort(), ["share-1", "share-2"]);
  });

  it("a cancellation reaches a worker of the other scheduler, and so does a drain", async () => {
    const worker = await pair.fleet.worker("reach", { queue: "reach", scheduler: pair.two.grpc });
    const handle = await pair.atOne.submit("sleep", { ms: 60_000 }, { queue: "reach" });
    await pair.fleet.ran(handle.id);
    await handle.cancel("asked at the other scheduler");
    await assert.rejects(handle.result(), TaskCancelledError);
    assert.equal(pair.fleet.runs(handle.id).length, 1);
    await pair.atOne.fleet.drainWorker({ workerId: "reach", reason: "asked at the other scheduler" });
    assert.deepEqual(await worker.ended, { code: 0, signal: null });
    await pair.fleet.workerReason("reach", "EXITED", H);
  });

  it("a worker that moves to the other scheduler keeps its attempts", async () => {
    const gate = pair.fleet.gate();
    await using proxy = await FaultProxy.start(pair.one.grpc);
    const worker = await pair.fleet.worker("moves", { queue: "moves", scheduler: proxy.address });
    const handle = await pair.atOne.submit("gate", { gate: gate.path }, { queue: "moves" });
    const asked = await pair.atOne.submit("sleep", { ms: 60_000 }, { queue: "moves" });
    await pair.fleet.ran(handle.id);
    await pair.fleet.ran(asked.id);
    for (const target of [pair.two, pair.one, pair.two]) {
      const mark = worker.mark();
      proxy.retarget(target.grpc);
      proxy.cut();
      const line = await worker.line("worker.reconnected", () => true, { after: mark });
      assert.equal(line.server_id, target.id);
      await within("the lease moves with it", 2 * H, async () =>
        (await pair.fleet.workerState("moves")).schedulerId === target.id ? true : undefined,
      );
    }
    await asked.cancel("asked where the worker was before");
    await assert.rejects(asked.result(), TaskCancelledError);
    gate.open();
    assert.deepEqual(await handle.result(), { worker: "moves", attempt: 1 });
    assert.equal(pair.fleet.runs(handle.id).length, 1);
    assert.equal(pair.fleet.runs(asked.id).length, 1);
    assert.deepEqual(await pair.fleet.events(handle.id), ONE_LIFE);
  });

  it("moves under load lose nothing and rerun nothing", async () => {
    await using proxy = await FaultProxy.start(pair.one.grpc);
    const worker = await pair.fleet.worker("busy", { queue: "busy", slots: 6, scheduler: proxy.address });
    const handles = await pair.atTwo.submitMany(
      Array.from({ length: 200 }, (_, n) => ({
        type: "sleep",
        payload: { ms: 10 + (n % 20) },
        queue: "busy",
      })),
    );
    for (const target of [pair.two, pair.one, pair.two, pair.one]) {
      const mark = worker.mark();
      proxy.retarget(target.grpc);
      proxy.cut();
      await worker.line("worker.reconnected", () => true, { after: mark });
    }
    await Promise.all(handles.map((handle) => handle.result()));
    for (const { id } of handles) assert.equal(pair.fleet.runs(id).length, 1, `${id} ran more than once`);
  });

  it("a scheduler killed: its workers go over with their tasks, dead ones are recovered by the other", async () => {
    const gate = pair.fleet.gate();
    const addresses = `${pair.two.grpc},${pair.one.grpc}`;
    const mover = await pair.fleet.worker("mover", { queue: "killed", slots: 1, scheduler: addresses });
    // On a busy machine the first dial may take too long: then it is registered at the second address.
    const { server_id } = await mover.line("worker.startup.phase", ({ phase }) => phase === "registered");
    const [home, other] = server_id === pair.two.id ? [pair.two, pair.one] : [pair.one, pair.two];
    const { client } = pair.fleet;
    const kept = await client.submit("gate", { gate: gate.path }, { queue: "killed" });
    await pair.fleet.started(kept.id);
    const victim = await pair.fleet.worker("victim", { queue: "killed", slots: 1, scheduler: home.grpc });
    const recovered = await client.submit("gate", { gate: gate.path }, { queue: "killed" });
    await pair.fleet.started(recovered.id);
    const mark = mover.mark();
    await home.program.end("SIGKILL");
    await victim.end("SIGKILL");
    const line = await mover.line("worker.reconnected", () => true, { after: mark });
    assert.equal(line.server_id, other.id);
    // No scheduler observes the drop of the victim's stream: its lease expires first.
    await pair.fleet.workerReason("victim", "LOST", 3_000 + 3_000 + 2 * H);
    await pair.fleet.eventually(recovered.id, "requeued:stale", 0);
    gate.open();
    assert.deepEqual(await client.handle(kept.id).result(), { worker: "mover", attempt: 1 });
    assert.deepEqual(await client.handle(recovered.id).result(), { worker: "mover", attempt: 2 });
    assert.equal(pair.fleet.runs(kept.id).length, 1);
    assert.equal(pair.fleet.runs(recovered.id).length, 2);
    assert.deepEqual(await pair.fleet.events(kept.id), ONE_LIFE);
  });
});
