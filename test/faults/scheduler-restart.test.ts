import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { WorkerState } from "@muster/protocol";
import { lost } from "../support/fleet/expected-reasons.ts";
import { Fleet, G, H, L } from "../support/fleet/fleet.ts";
import { killAll } from "../support/programs/program.ts";
import { until, within } from "../support/waits.ts";

const ONE_LIFE = ["created", "assigned", "accepted", "started", "succeeded"];

/** A scheduler needs a second or two to start; the limits of these tests are longer, that of acceptances among them. */
const PATIENT = ["--lease", "10", "--reconnect-grace", "10", "--accept-deadline", "10"];

describe("the scheduler dies and comes back", () => {
  let fleet: Fleet;
  let round = 0;
  let queue = "";

  before(async () => {
    fleet = await Fleet.start({ args: PATIENT });
  });

  beforeEach(() => {
    round++;
    queue = `restart-${round}`;
  });

  after(async () => {
    await killAll();
    await fleet.stop();
  });

  for (const signal of ["SIGKILL", "SIGTERM"] as const) {
    it(`F5: ${signal} while tasks run: workers reconnect, nothing runs twice`, async () => {
      const gate = fleet.gate();
      const workers = await Promise.all(
        [1, 2].map((n) => fleet.worker(`${queue}-${n}`, { queue, slots: 3, env: { PREFETCH: "1" } })),
      );
      // With one of them only the fourth task would be given to it ahead, and wait behind the gate.
      for (const n of [1, 2])
        await within("the scheduler knows both", G, async () =>
          (await fleet.workerState(`${queue}-${n}`)).state === WorkerState.READY ? true : undefined,
        );
      const handles = await fleet.client.submitMany(
        Array.from({ length: 6 }, () => ({ type: "gate", payload: { gate: gate.path }, queue })),
      );
      const waiting = await fleet.client.submitMany(
        Array.from({ length: 6 }, (_, n) => ({ type: "echo", payload: n, queue })),
      );
      for (const { id } of handles) await fleet.ran(id);
      const marks = workers.map((worker) => worker.mark());
      const exit = await fleet.scheduler.program.end(signal);
      assert.equal(exit.signal ?? exit.code, signal === "SIGKILL" ? "SIGKILL" : 0);
      await fleet.restart(fleet.scheduler, PATIENT);
      await within(
        "the workers come back",
        10_000,
        () =>
          workers.every(({ lines }, n) =>
            lines.slice(marks[n]).some(({ event }) => event === "worker.reconnected"),
          ) || undefined,
      );
      for (const { id } of handles)
        await fleet.taskReason(id, "RUNNING", H, {
          evidence: { worker: new RegExp(`^${queue}-\\d$`) },
          // Six more wait behind them.
        });
      gate.open();
      for (const handle of handles) assert.equal(Object(await handle.result()).attempt, 1);
      assert.deepEqual(await Promise.all(waiting.map((handle) => handle.result())), [0, 1, 2, 3, 4, 5]);
      for (const { id } of [...handles, ...waiting]) {
        assert.equal(fleet.runs(id).length, 1, `${id} ran more than once`);
        const events = await fleet.events(id);
        assert.equal(events.filter((name) => name === "succeeded").length, 1);
      }
      for (const { id } of handles) assert.deepEqual(await fleet.events(id), ONE_LIFE);
    });
  }

  it("F5: results that are ready while there is no scheduler land after it", async () => {
    const gate = fleet.gate();
    const worker = await fleet.worker(`${queue}-1`, { queue });
    const handle = await fleet.client.submit("gate", { gate: gate.path }, { queue });
    await fleet.ran(handle.id);
    await fleet.scheduler.program.end("SIGKILL");
    gate.open();
    await worker.line("task.completed");
    await fleet.restart(fleet.scheduler, PATIENT);
    assert.deepEqual(await handle.result(), { worker: `${queue}-1`, attempt: 1 });
    assert.equal(fleet.runs(handle.id).length, 1);
    assert.deepEqual(await fleet.events(handle.id), ONE_LIFE);
  });

  it("F5: the events of a phase are not recorded twice", async () => {
    await fleet.worker(`${queue}-1`, { queue });
    const gate = fleet.gate();
    const handle = await fleet.client.submit("stuck", { gate: gate.path }, { queue });
    await fleet.eventually(handle.id, "task.model_load.started");
    await fleet.scheduler.program.end("SIGKILL");
    await fleet.restart(fleet.scheduler, PATIENT);
    gate.open();
    await handle.result();
    const events = await fleet.events(handle.id);
    const phase = events.filter((name) => /^task\.model_load\.(started|completed)$/.test(name));
    assert.deepEqual(phase, ["task.model_load.started", "task.model_load.completed"]);
  });

  it("F5: a client's wait goes on across the restart", async () => {
    const gate = fleet.gate();
    await fleet.worker(`${queue}-1`, { queue });
    const handle = await fleet.client.submit("gate", { gate: gate.path }, { queue });
    const result = handle.result();
    await fleet.ran(handle.id);
    await fleet.scheduler.program.end("SIGKILL");
    await fleet.restart(fleet.scheduler, PATIENT);
    gate.open();
    assert.deepEqual(await result, { worker: `${queue}-1`, attempt: 1 });
  });

  it("F5: killed again and again under load, every task finishes once", async () => {
    await Promise.all([1, 2].map((n) => fleet.worker(`${queue}-${n}`, { queue, slots: 4 })));
    const handles = await fleet.client.submitMany(
      Array.from({ length: 200 }, (_, n) => ({ type: "sleep", payload: { ms: 20 + (n % 60) }, queue })),
    );
    const done = () => handles.filter(({ id }) => fleet.runs(id).length > 0).length;
    for (const share of [20, 80, 140]) {
      await until(`${share} runs`, () => (done() >= share ? true : undefined));
      await fleet.scheduler.program.end("SIGKILL");
      await fleet.restart(fleet.scheduler, PATIENT);
    }
    await Promise.all(handles.map((handle) => handle.result()));
    for (const { id } of handles) assert.equal(fleet.runs(id).length, 1, `${id} ran more than once`);
  });

  it("F5: a worker that died meanwhile is lost, and its task recovered", async () => {
    const quick = await Fleet.start();
    const gate = quick.gate();
    const worker = await quick.worker("dies", {});
    const handle = await quick.client.submit("gate", { gate: gate.path });
    await quick.eventually(handle.id, "started");
    await quick.scheduler.program.end("SIGKILL");
    await worker.end("SIGKILL");
    await quick.restart(quick.scheduler);
    // The new scheduler owes everybody a full lease.
    await quick.workerReason("dies", "LOST", L + G + 2 * H, lost(worker, `${handle.id}.1`));
    await quick.worker("lives", {});
    gate.open();
    assert.deepEqual(await handle.result(), { worker: "lives", attempt: 2 });
    assert.equal(quick.runs(handle.id).length, 2);
    assert.deepEqual(await quick.events(handle.id), [
      ...["created", "assigned", "accepted", "started", "requeued:stale"],
      ...["assigned", "accepted", "started", "succeeded"],
    ]);
    await quick.scheduler.program.end();
    await quick.stop();
  });
});
