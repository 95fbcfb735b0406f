import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { Fleet, H } from "../support/fleet/fleet.ts";
import { killAll, type Program } from "../support/programs/program.ts";
import { until, within } from "../support/waits.ts";

/** A hung thread is noticed after 5 s, reported within 3, and ended within 1. */
const ENDED_MS = 9_000;

/** Longer than that, as it is by default: else the lease expires before the report. */
const LEASE_S = 15;

describe("T18: the connection's thread fails while the main loop goes on", () => {
  let fleet: Fleet;

  before(async () => {
    fleet = await Fleet.start({ args: ["--lease", String(LEASE_S), "--reconnect-grace", String(LEASE_S)] });
  });

  after(async () => {
    await killAll();
    await fleet.stop();
  });

  function hanging(how: string, file: string): Record<string, string> {
    const preload = new URL("../support/workers/hang-thread.ts", import.meta.url).href;
    return { HANG: how, HANG_FILE: file, NODE_OPTIONS: `--import=${preload}` };
  }

  function fatalOf(worker: Program) {
    const [fatal] = worker.lines.filter(({ event }) => event === "worker.fatal");
    assert.ok(fatal, worker.tail());
    return fatal;
  }

  for (const [how, says, signal] of [
    ["spin", /the connection's thread hangs: its loop has not turned for 5 s/, undefined],
    ["wait", /the connection's thread hangs/, "SIGTERM"],
    ["exit", /the connection's thread died: .*code 3/, undefined],
    ["throw", /the connection's thread died: thrown in the connection's thread/, undefined],
  ] as const) {
    it(`${how}${signal ? `, and ${signal} meanwhile` : ""}: reports by another way and ends with 1`, async () => {
      const id = `hung-${how}`;
      const fault = fleet.gate();
      const worker = await fleet.worker(id, { queue: id, env: hanging(how, fault.path) });
      const gate = fleet.gate();
      const task = await fleet.client.submit("gate", { gate: gate.path }, { queue: id });
      await fleet.eventually(task.id, "started");
      fault.open();
      if (signal) worker.kill(signal);
      await within("the worker ends", ENDED_MS, () => (worker.alive ? undefined : true));
      const exit = await worker.ended;
      assert.equal(exit.code, 1, worker.tail());
      const fatal = fatalOf(worker);
      assert.equal(fatal.exception_class, "LinkError");
      assert.match(String(fatal.exception_message), says);
      assert.ok(!worker.lines.some(({ event }) => event === "worker.fatal.unsent"), worker.tail());
      await fleet.workerReason(id, "FATAL", 2 * H, {
        evidence: { exception: says, held: new RegExp(`^${task.id}\\.1$`) },
      });
      await fleet.eventually(task.id, "requeued:fatal", 2 * H);
      gate.open();
      await fleet.worker(`${id}-2`, { queue: id });
      assert.deepEqual(await task.result(), { worker: `${id}-2`, attempt: 2 });
    });
  }

  it("in a system call, which nothing interrupts: the process is killed once that is reported", async () => {
    const fault = fleet.gate();
    execFileSync("mkfifo", [`${fault.path}.fifo`]);
    const worker = await fleet.worker("hung-open", { queue: "hung-open", env: hanging("open", fault.path) });
    fault.open();
    // A worker without tasks drains at once: before the fault, it would end well.
    await until("the thread hangs", () => existsSync(`${fault.path}.begun`) || undefined);
    worker.kill("SIGTERM");
    assert.equal((await worker.ended).signal, "SIGKILL", worker.tail());
    assert.equal(fatalOf(worker).exception_class, "LinkError");
    const [killed] = worker.lines.filter(({ event }) => event === "worker.killed");
    assert.match(String(killed?.msg), /cannot be ended/);
    await fleet.workerReason("hung-open", "FATAL", 2 * H);
  });

  it("the main loop blocks after SIGTERM: the drain ends in time, and what is held costs no attempt", async () => {
    const worker = await fleet.worker("deaf", { queue: "deaf", env: { WORKER_DRAIN_TIMEOUT_S: "1" } });
    const gate = fleet.gate();
    const blocking = await fleet.client.submit("blockAfter", { gate: gate.path }, { queue: "deaf" });
    await fleet.eventually(blocking.id, "started");
    worker.kill("SIGTERM");
    await worker.line("worker.draining");
    gate.open();
    assert.equal((await worker.ended).signal, "SIGKILL", worker.tail());
    assert.ok(worker.lines.some(({ event }) => event === "worker.killed"));
    await fleet.eventually(blocking.id, "requeued:finished");
    assert.equal((await fleet.task(blocking.id)).attemptCount, 0);
  });
});
