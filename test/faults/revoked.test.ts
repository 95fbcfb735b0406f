import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { TaskState } from "@muster/protocol";
import { Fleet, G, H, L } from "../support/fleet/fleet.ts";
import { FaultProxy } from "../support/peers/fault-proxy.ts";
import { cutAll } from "../support/peers/raw-worker.ts";
import { killAll } from "../support/programs/program.ts";
import { until, within } from "../support/waits.ts";

describe("T26: handlers of revoked attempts hold their slots, and both sides know", () => {
  let fleet: Fleet;

  before(async () => {
    fleet = await Fleet.start();
  });

  after(async () => {
    cutAll();
    await killAll();
    await fleet.stop();
  });

  it("T26: a lost worker that comes back with a deaf handler is given nothing until it returns", async () => {
    await using proxy = await FaultProxy.start(fleet.scheduler.grpc);
    const gate = fleet.gate();
    const worker = await fleet.worker("deaf", { queue: "deaf", slots: 1, scheduler: proxy.address });
    const { id } = await fleet.client.submit("gate", { gate: gate.path, deaf: true }, { queue: "deaf" });
    await fleet.started(id);
    proxy.refuse();
    const log = fleet.scheduler.program;
    await log.line("worker.lost", ({ worker_id }) => worker_id === "deaf");
    proxy.heal();
    const back = await log.line("worker.reconnected", ({ worker_id }) => worker_id === "deaf");
    assert.equal(back.revoked, 1);
    await within("a heartbeat lists it as revoked", G + L, async () => {
      const { running } = await fleet.workerState("deaf");
      return running.some(({ attemptId, revoked }) => attemptId === `${id}.1` && revoked) ? true : undefined;
    });
    const revoked = new RegExp(`${id}\\.1 .*on deaf.*revoked`);
    await fleet.taskReason(id, "ALL_SLOTS_BUSY", H, {
      evidence: { busy_with: revoked, process: new RegExp(`^pid ${worker.pid} on `) },
    });
    await fleet.workerReason("deaf", "REVOKED_RUNNING", H, {
      evidence: { revoked: new RegExp(`^${id}\\.1 `), process: new RegExp(`^pid ${worker.pid} on `) },
      commands: ["muster drain deaf"],
    });
    const heartbeats = async () => (await fleet.workerState("deaf")).lastHeartbeat?.sequence ?? 0n;
    const seen = await heartbeats();
    await until("ten heartbeats later", async () => ((await heartbeats()) >= seen + 10n ? true : undefined));
    const events = await fleet.events(id);
    assert.equal(events.filter((name) => name === "assigned").length, 1, events.join(" "));
    assert.deepEqual(fleet.runs(id).length, 1);
    gate.open();
    await fleet.ran(id, 2);
    await within("succeeded", H, async () =>
      (await fleet.task(id)).state === TaskState.SUCCEEDED ? true : undefined,
    );
    assert.ok(!(await fleet.events(id)).some((name) => name.startsWith("requeued:rejected")));
  });
});
