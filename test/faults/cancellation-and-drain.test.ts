import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { TaskState } from "@muster/protocol";
import { TaskCancelledError } from "@muster/worker/client";
import { Fleet, H } from "../support/fleet/fleet.ts";
import { killAll } from "../support/programs/program.ts";
import { within } from "../support/waits.ts";

/** A handler that does not return when the drain timeout asks it to is given so long to do so after all. */
const UNWIND_MS = 2_000;

describe("cancellation and drain", () => {
  let fleet: Fleet;

  before(async () => {
    fleet = await Fleet.start();
  });

  after(async () => {
    await killAll();
    await fleet.stop();
  });

  it("F23: a handler that ignores its cancellation keeps its slot until it returns", async () => {
    const gate = fleet.gate();
    const deaf = await fleet.worker("f23", { queue: "f23", slots: 1 });
    const handle = await fleet.client.submit("gate", { gate: gate.path, deaf: true }, { queue: "f23" });
    await fleet.ran(handle.id);
    const asked = await handle.cancel("the user closed the page");
    assert.equal(asked.detail, "cancelling");
    const cancelling = {
      evidence: {
        worker: /^f23$/,
        attempt: new RegExp(`^${handle.id}\\.1$`),
        cancel_reason: /^the user closed the page$/,
        cancel_requested_ms_ago: /^\d+$/,
        process: new RegExp(`^pid ${deaf.pid} on `),
      },
      commands: ["muster drain f23"],
    };
    await fleet.taskReason(handle.id, "CANCELLING", H, cancelling);
    const next = await fleet.client.submit("echo", "next", { queue: "f23" });
    // Well beyond the time in which a free slot is filled.
    await within("a heartbeat lists it", 5 * H, async () => {
      const { running } = await fleet.workerState("f23");
      return running[0]?.cancelling ? true : undefined;
    });
    const found = { ...cancelling.evidence, handler: /^asked to stop, still running/ };
    await fleet.taskReason(handle.id, "CANCELLING", 0, { ...cancelling, evidence: found });
    await fleet.taskReason(next.id, "ALL_SLOTS_BUSY", 0, {
      evidence: { busy_with: new RegExp(`^${handle.id}\\.1 `), removed_by_slots: /^1 \(for example f23\)$/ },
      commands: [`muster why ${handle.id}`],
    });
    assert.equal((await fleet.task(handle.id)).state, TaskState.RUNNING);
    await handle.cancel("asked again");
    gate.open();
    await assert.rejects(handle.result(), TaskCancelledError);
    assert.equal(await next.result(), "next");
    assert.equal(fleet.runs(handle.id).length, 1);
    assert.deepEqual(await fleet.events(handle.id), [
      ...["created", "assigned", "accepted", "started"],
      ...["cancel_requested", "cancel_requested", "cancelled"],
    ]);
    await fleet.taskReason(handle.id, "CANCELLED", 0, {
      evidence: { attempt: /^t-\d+\.1 on f23: cancelled/, cancel_reason: /^the user closed the page$/ },
      commands: [`muster retry ${handle.id}`],
    });
  });

  it("F23: a handler that listens ends at once", async () => {
    await fleet.worker("f23-listens", { queue: "f23-listens", slots: 1 });
    const handle = await fleet.client.submit("sleep", { ms: 60_000 }, { queue: "f23-listens" });
    await fleet.ran(handle.id);
    await handle.cancel("never mind");
    await within("cancelled", 2 * H, async () =>
      (await fleet.task(handle.id)).state === TaskState.CANCELLED ? true : undefined,
    );
    assert.deepEqual(await fleet.events(handle.id), [
      ...["created", "assigned", "accepted", "started", "cancel_requested", "cancelled"],
    ]);
  });

  it("F23: a queued task is cancelled at once and never runs", async () => {
    const handle = await fleet.client.submit("echo", null, { queue: "f23-queued" });
    const cancelled = await handle.cancel("too late");
    assert.equal(cancelled.state, "cancelled");
    await fleet.worker("f23-queued", { queue: "f23-queued" });
    const marker = await fleet.client.submit("echo", null, { queue: "f23-queued" });
    await marker.result();
    assert.equal(fleet.runs(handle.id).length, 0);
    assert.deepEqual(await fleet.events(handle.id), ["created", "cancelled"]);
  });

  for (const deaf of [false, true]) {
    const who = deaf ? "a deaf handler" : "a handler that listens";
    it(`F24: SIGTERM with ${who}: released at the drain timeout, without costing an attempt`, async () => {
      const gate = fleet.gate();
      const queue = deaf ? "f24-deaf" : "f24";
      const worker = await fleet.worker(`${queue}-old`, { queue, env: { WORKER_DRAIN_TIMEOUT_S: "1" } });
      const handle = await fleet.client.submit("gate", { gate: gate.path, deaf }, { queue });
      await fleet.ran(handle.id);
      await heldByBeat(fleet, `${queue}-old`);
      worker.kill("SIGTERM");
      await fleet.workerReason(`${queue}-old`, "DRAINING", 2 * H, {
        evidence: { attempt: new RegExp(`^${handle.id}\\.1 .*for `) },
        commands: ["WORKER_DRAIN_TIMEOUT_S"],
        since: false,
      });
      // A draining worker is given nothing.
      const later = await fleet.client.submit("echo", "later", { queue });
      await fleet.taskReason(later.id, "WORKERS_DRAINING", 0, {
        evidence: { removed_by_draining: new RegExp(`^1 \\(for example ${queue}-old\\)$`) },
        commands: [`MUSTER_SCHEDULER_ADDR=${fleet.scheduler.grpc}`],
      });
      await fleet.eventually(handle.id, "requeued:drain", 1_000 + H + (deaf ? UNWIND_MS : 0));
      assert.equal((await fleet.task(handle.id)).attemptCount, 0);
      gate.open();
      assert.deepEqual(await worker.ended, { code: 0, signal: null });
      await fleet.worker(`${queue}-new`, { queue });
      assert.deepEqual(await handle.result(), { worker: `${queue}-new`, attempt: 1 });
      assert.equal(await later.result(), "later");
      assert.equal(fleet.runs(handle.id).length, 2);
      assert.equal(fleet.runs(later.id).length, 1);
      assert.deepEqual(await fleet.events(handle.id), [
        ...["created", "assigned", "accepted", "started", "requeued:drain"],
        ...["assigned", "accepted", "started", "succeeded"],
      ]);
      const events = await fleet.workerEvents(`${queue}-old`);
      assert.ok(!events.includes("worker.suspect") && !events.includes("worker.lost"), events.join());
    });
  }

  it("F24: a task that ends within the drain timeout is not released", async () => {
    const gate = fleet.gate();
    const worker = await fleet.worker("f24-ends", { queue: "f24-ends" });
    const handle = await fleet.client.submit("gate", { gate: gate.path }, { queue: "f24-ends" });
    await fleet.ran(handle.id);
    worker.kill("SIGTERM");
    await fleet.workerReason("f24-ends", "DRAINING", 2 * H);
    gate.open();
    assert.deepEqual(await handle.result(), { worker: "f24-ends", attempt: 1 });
    assert.deepEqual(await worker.ended, { code: 0, signal: null });
    assert.deepEqual(await fleet.events(handle.id), [
      ...["created", "assigned", "accepted", "started", "succeeded"],
    ]);
  });
});

/** Waits until a heartbeat lists the attempt: explanations take a worker's attempts from its heartbeats. */
async function heldByBeat(fleet: Fleet, workerId: string): Promise<void> {
  await within(`a beat of ${workerId} with its attempt`, 2 * H, async () =>
    (await fleet.workerState(workerId)).running.length > 0 ? true : undefined,
  );
}
