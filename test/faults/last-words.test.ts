import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Fleet, G, H, L } from "../support/fleet/fleet.ts";
import { FaultProxy } from "../support/peers/fault-proxy.ts";
import { killAll } from "../support/programs/program.ts";

describe("the last words of a worker", () => {
  let fleet: Fleet;

  before(async () => {
    fleet = await Fleet.start();
  });

  after(async () => {
    await killAll();
    await fleet.stop();
  });

  for (const [name, fault] of [
    ["is cut", (proxy: FaultProxy) => proxy.cut()],
    ["hangs half-open", (proxy: FaultProxy) => proxy.freeze({ established: true })],
  ] as const) {
    it(`are told on a fresh dial when the stream ${name} in the moment before`, async () => {
      await using proxy = await FaultProxy.start(fleet.scheduler.grpc);
      const id = `words-${name.replaceAll(" ", "-")}`;
      const worker = await fleet.worker(id, { queue: id, scheduler: proxy.address });
      // It throws 10 ms after its start, with the stream gone or dead.
      const crash = await fleet.client.submit("crash", null, { queue: id });
      await fleet.ran(crash.id);
      fault(proxy);
      assert.equal((await worker.ended).code, 1);
      assert.ok(!worker.lines.some(({ event }) => event === "worker.fatal.unsent"), worker.tail());
      await fleet.workerReason(id, "FATAL", 2 * H, {
        evidence: { exception: /^TypeError: thrown outside of every handler$/ },
      });
      const requeuedMs = await fleet.eventually(crash.id, "requeued:fatal", 2 * H);
      assert.ok(requeuedMs < L + G);
    });
  }

  it("stay in the log when nobody can be told, and the process ends all the same", async () => {
    await using proxy = await FaultProxy.start(fleet.scheduler.grpc);
    const worker = await fleet.worker("words-nobody", { queue: "words-nobody", scheduler: proxy.address });
    const gate = fleet.gate();
    const crash = await fleet.client.submit("crash", { gate: gate.path }, { queue: "words-nobody" });
    await fleet.ran(crash.id);
    proxy.refuse();
    gate.open();
    assert.equal((await worker.ended).code, 1);
    const [fatal] = worker.lines.filter(({ event }) => event === "worker.fatal");
    assert.match(String(fatal?.traceback), /basic\.ts/);
    assert.ok(worker.lines.some(({ event }) => event === "worker.fatal.unsent"));
    await fleet.workerReason("words-nobody", "LOST", G + L + 2 * H);
  });
});
