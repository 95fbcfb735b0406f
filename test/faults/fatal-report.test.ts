import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Fleet, G, H, L } from "../support/fleet/fleet.ts";
import { FaultProxy } from "../support/peers/fault-proxy.ts";
import { killAll } from "../support/programs/program.ts";

describe("the fatal report of a worker", () => {
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
    it(`arrives on a new stream when the stream ${name} just before`, async () => {
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

  it("stays in the log when no scheduler can be reached, and the process ends all the same", async () => {
    await using proxy = await FaultProxy.start(fleet.scheduler.grpc);
    const worker = await fleet.worker("words-unsent", { queue: "words-unsent", scheduler: proxy.address });
    const gate = fleet.gate();
    const crash = await fleet.client.submit("crash", { gate: gate.path }, { queue: "words-unsent" });
    await fleet.ran(crash.id);
    proxy.refuse();
    gate.open();
    assert.equal((await worker.ended).code, 1);
    const [fatal] = worker.lines.filter(({ event }) => event === "worker.fatal");
    assert.match(String(fatal?.traceback), /basic\.ts/);
    assert.ok(worker.lines.some(({ event }) => event === "worker.fatal.unsent"));
    await fleet.workerReason("words-unsent", "LOST", G + L + 2 * H);
  });
});
