import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import { busy, holderSuspect, lost, suspect } from "../support/fleet/expected-reasons.ts";
import { Fleet, G, H, L } from "../support/fleet/fleet.ts";
import { FaultProxy } from "../support/peers/fault-proxy.ts";
import { killAll } from "../support/programs/program.ts";
import { until, within } from "../support/waits.ts";

/** Longest wait before a first dial after a drop. */
const DIAL_MS = 1_000;

const ONE_LIFE = ["created", "assigned", "accepted", "started", "succeeded"];
const TWO_LIVES = [
  ...["created", "assigned", "accepted", "started", "requeued:stale"],
  ...["assigned", "accepted", "started", "succeeded"],
];

describe("a worker's stream breaks", () => {
  /** With the fast lease and grace, for what must be lost; and with long ones, for what must be kept. */
  let fleet: Fleet;
  let proxy: FaultProxy;
  let patient: Fleet;
  let patientProxy: FaultProxy;

  before(async () => {
    [fleet, patient] = await Promise.all([
      Fleet.start(),
      Fleet.start({ args: ["--lease", "10", "--reconnect-grace", "8"] }),
    ]);
    proxy = await FaultProxy.start(fleet.scheduler.grpc);
    patientProxy = await FaultProxy.start(patient.scheduler.grpc);
  });

  afterEach(() => {
    proxy.heal();
    patientProxy.heal();
  });

  after(async () => {
    await proxy.stop();
    await patientProxy.stop();
    await killAll();
    await fleet.stop();
    await patient.stop();
  });

  /** A worker behind its fleet's proxy with a task that runs until its gate opens. */
  async function running(queue: string, options: { deaf?: boolean; patient?: boolean } = {}) {
    const [at, through] = options.patient ? [patient, patientProxy] : [fleet, proxy];
    const { deaf = false } = options;
    const setup = await begin(at, through, queue, deaf);
    return { ...setup, fleet: at, proxy: through };
  }

  async function begin(fleet: Fleet, proxy: FaultProxy, queue: string, deaf: boolean) {
    const gate = fleet.gate();
    const worker = await fleet.worker(queue, { queue, scheduler: proxy.address });
    const handle = await fleet.client.submit("gate", { gate: gate.path, deaf }, { queue });
    // What the network then swallows must not be the acceptance: the deadline for it would rightly take the attempt back.
    await fleet.started(handle.id);
    return { gate, worker, handle };
  }

  it("F6: cut for less than the grace, the attempt is kept", async () => {
    const { gate, worker, handle, fleet, proxy } = await running("f6", { patient: true });
    const mark = worker.mark();
    proxy.refuse();
    await fleet.workerReason("f6", "SUSPECT", 2 * H, suspect(worker));
    await fleet.taskReason(handle.id, "WORKER_SUSPECT", 0, holderSuspect("f6"));
    proxy.heal();
    await worker.line("worker.reconnected", () => true, { after: mark });
    await fleet.workerReason("f6", "BUSY", 2 * H, busy(handle.id));
    gate.open();
    assert.deepEqual(await handle.result(), { worker: "f6", attempt: 1 });
    assert.equal(fleet.runs(handle.id).length, 1);
    assert.deepEqual(await fleet.events(handle.id), ONE_LIFE);
  });

  it("F6: cut again and again, the attempt is kept and its result lands", async () => {
    const { gate, worker, handle, fleet, proxy } = await running("f6-often", { patient: true });
    for (let round = 0; round < 8; round++) {
      const mark = worker.mark();
      proxy.cut();
      await worker.line("worker.reconnected", () => true, { after: mark });
      if (round === 6) gate.open();
    }
    assert.deepEqual(await handle.result(), { worker: "f6-often", attempt: 1 });
    assert.equal(fleet.runs(handle.id).length, 1);
    assert.deepEqual(await fleet.events(handle.id), ONE_LIFE);
  });

  it("F6: a result that is ready while the stream is down lands after it", async () => {
    const { gate, worker, handle, fleet, proxy } = await running("f6-outbox", { patient: true });
    proxy.refuse();
    gate.open();
    await worker.line("task.completed");
    proxy.heal();
    assert.deepEqual(await handle.result(), { worker: "f6-outbox", attempt: 1 });
    assert.equal(fleet.runs(handle.id).length, 1);
    assert.deepEqual(await fleet.events(handle.id), ONE_LIFE);
  });

  it("F7: cut for longer, it is lost, and on its return its attempt is revoked", async () => {
    const { gate, worker, handle } = await running("f7");
    await fleet.worker("f7-other", { queue: "f7" });
    proxy.refuse();
    await fleet.workerReason("f7", "LOST", G + L + 2 * H, lost(worker, `${handle.id}.1`));
    await fleet.eventually(handle.id, "requeued:stale", 0);
    await fleet.ran(handle.id, 2);
    const mark = worker.mark();
    proxy.heal();
    await worker.line("worker.reconnected", () => true, { after: mark });
    await worker.line("task.revoked", ({ attempt_id }) => attempt_id === `${handle.id}.1`, { after: mark });
    await fleet.workerReason("f7", "IDLE_NO_WORK", 2 * H, {
      evidence: { ready_tasks: /^0$/ },
    });
    gate.open();
    assert.deepEqual(await handle.result(), { worker: "f7-other", attempt: 2 });
    assert.equal(fleet.runs(handle.id).length, 2);
    assert.deepEqual(await fleet.events(handle.id), TWO_LIVES);
    // The worker is as good as new.
    const next = await fleet.client.submit("echo", "again", { queue: "f7" });
    assert.equal(await next.result(), "again");
  });

  it("F8: half-open for less than the lease, the worker dials anew and keeps its attempt", async () => {
    const { gate, worker, handle, fleet, proxy } = await running("f8", { patient: true });
    const mark = worker.mark();
    const dials = proxy.dials;
    proxy.freeze({ established: true });
    const { afterMs } = await within("a new dial", 4 * H + DIAL_MS, () =>
      proxy.dials > dials ? true : undefined,
    );
    assert.ok(afterMs >= 2 * H, "it dialled although its heartbeats were acknowledged");
    await worker.line("worker.disconnected", ({ error }) => /unanswered/.test(String(error)), {
      after: mark,
    });
    await worker.line("worker.reconnected", () => true, { after: mark });
    await fleet.workerReason("f8", "BUSY", 2 * H, busy(handle.id));
    // What the dead connection still held arrives late and changes nothing.
    proxy.heal();
    gate.open();
    assert.deepEqual(await handle.result(), { worker: "f8", attempt: 1 });
    assert.equal(fleet.runs(handle.id).length, 1);
    assert.deepEqual(await fleet.events(handle.id), ONE_LIFE);
    const events = await fleet.workerEvents("f8");
    const back = events.lastIndexOf("worker.reconnected");
    assert.ok(!events.slice(back).includes("worker.suspect"), `suspect after its return: ${events.join()}`);
  });

  it("F8: half-open for longer than lease and grace, it is lost and its late words are fenced", async () => {
    const { gate, worker, handle } = await running("f8-long", { deaf: true });
    await fleet.worker("f8-other", { queue: "f8-long" });
    proxy.freeze();
    await fleet.workerReason("f8-long", "SUSPECT", L + H, suspect(worker));
    await fleet.workerReason("f8-long", "LOST", G + 2 * H, lost(worker, `${handle.id}.1`));
    await fleet.ran(handle.id, 2);
    gate.open();
    assert.deepEqual(await handle.result(), { worker: "f8-other", attempt: 2 });
    const mark = worker.mark();
    proxy.heal();
    await worker.line("worker.reconnected", () => true, { after: mark });
    await until("its result is refused", () =>
      worker.lines.find(
        ({ event }) =>
          event === "task.revoked" || event === "task.result.refused" || event === "worker.result.dropped",
      ),
    );
    assert.deepEqual(await fleet.events(handle.id), TWO_LIVES);
    assert.deepEqual((await fleet.task(handle.id)).workerId, "f8-other");
    const next = await fleet.client.submit("echo", "again", { queue: "f8-long" });
    assert.equal(await next.result(), "again");
  });

  it("cuts under load lose nothing and rerun nothing", async () => {
    const worker = await patient.worker("load", {
      queue: "load",
      slots: 8,
      scheduler: patientProxy.address,
    });
    const handles = await patient.client.submitMany(
      Array.from({ length: 300 }, (_, n) => ({
        type: "sleep",
        payload: { ms: 5 + (n % 20) },
        queue: "load",
      })),
    );
    for (let round = 0; round < 5; round++) {
      const mark = worker.mark();
      patientProxy.cut();
      await worker.line("worker.reconnected", () => true, { after: mark });
      const done = worker.lines.filter(({ event }) => event === "task.completed").length;
      if (done === handles.length) break;
      await worker.line("task.completed", () => true, { after: worker.mark() });
    }
    await Promise.all(handles.map((handle) => handle.result()));
    for (const { id } of handles) {
      assert.equal(patient.runs(id).length, 1, `${id} ran ${patient.runs(id).length} times`);
    }
    for (const { id } of handles.slice(0, 40)) await patient.events(id);
  });

  it("a second process of the same worker id takes over, and what the first held runs again at once", async () => {
    const gate = fleet.gate();
    const first = await fleet.worker("twin", { queue: "twin" });
    const handle = await fleet.client.submit("gate", { gate: gate.path }, { queue: "twin" });
    await fleet.ran(handle.id);
    await fleet.worker("twin", { queue: "twin" });
    assert.equal((await first.ended).code, 1);
    assert.ok(first.lines.some(({ event, phase }) => event === "worker.fatal" && phase === "superseded"));
    await fleet.ran(handle.id, 2);
    gate.open();
    // The takeover is not the task's doing, so it costs no attempt.
    assert.deepEqual(await handle.result(), { worker: "twin", attempt: 1 });
    assert.deepEqual(
      fleet.runs(handle.id).map(({ attemptId }) => attemptId),
      [`${handle.id}.1`, `${handle.id}.2`],
    );
    assert.deepEqual(await fleet.events(handle.id), [
      ...["created", "assigned", "accepted", "started", "requeued:superseded"],
      ...["assigned", "accepted", "started", "succeeded"],
    ]);
  });
});
