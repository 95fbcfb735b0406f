import assert from "node:assert/strict";
import { kill } from "node:process";
import { after, before, beforeEach, describe, it } from "node:test";
import { LaunchGuardState, PoolLaunchOutcome, PoolLaunchState, WorkerState } from "@muster/protocol";
import { MetadataServer } from "../support/cloud/metadata-server.ts";
import { Fleet } from "../support/fleet/fleet.ts";
import { launchesOf, poolSpec, TestLauncher } from "../support/fleet/pool-launcher.ts";
import { killAll } from "../support/programs/program.ts";
import { runMuster } from "../support/programs/run-muster.ts";
import { supervise } from "../support/programs/supervised.ts";
import { until } from "../support/waits.ts";

/** A command that ends with SIGTERM, and with nothing else. */
const PLAIN = ["sh", "-c", 'trap "exit 0" TERM; echo up; while :; do sleep 0.02; done'];

describe("a machine that its cloud takes away", () => {
  let fleet: Fleet;
  let cloud: MetadataServer;

  before(async () => {
    fleet = await Fleet.start();
  });
  beforeEach(async () => {
    await cloud?.stop();
    cloud = await MetadataServer.start();
  });
  after(async () => {
    await killAll();
    await cloud.stop();
    await fleet.stop();
  });

  const notices = (name = "gcp") => ["--notices", name, "--notices-address", cloud.address];
  const waiting = () => until("the supervisor waits for a notice", () => cloud.waiting === 1 || undefined);
  const exitOf = (workerId: string) =>
    until(`the end of ${workerId} is known`, async () => (await fleet.workerState(workerId)).launch?.exit);

  it("T94: its worker finishes what it holds, and is not started again; the notice is seen everywhere", async () => {
    const gate = fleet.gate();
    const { supervisor, logged } = await supervise(fleet, "spot-1", {
      args: ["--restart", "always", "--restart-delay", "1h", ...notices()],
      // The endpoint is on the machine: it is never behind a proxy.
      env: { NODE_USE_ENV_PROXY: "1", http_proxy: "http://127.0.0.1:1" },
    });
    const task = await fleet.client.submit("gate", { gate: gate.path }, { queue: "spot-1" });
    await fleet.started(task.id);
    await waiting();
    cloud.preempt();
    const { reason } = await fleet.workerReason("spot-1", "MACHINE_ENDS", 10_000);
    assert.match(
      reason.summary,
      /^gcp ends its machine \S+ in [\d.]+ s \(preempted, \S+ (ms|s) ago\): it finishes/,
    );
    await fleet.workerReason("spot-1", "DRAINING", 10_000);
    const shown = await runMuster(fleet.scheduler.grpc, ["worker", "spot-1"]);
    assert.match(shown.stdout, /^notice\s+gcp: preempted; the machine ends in 2\d(\.\d)? s$/m);
    const { events } = await fleet.client.fleet.listEvents({ workerId: "spot-1" });
    const drained = events.find(({ name }) => name === "worker.draining");
    assert.equal(drained?.attributes.reason, "gcp ends its machine (preempted)");
    const noticed = events.find(({ name }) => name === "worker.machine_notice");
    assert.deepEqual(
      [noticed?.attributes.source, noticed?.attributes.event, noticed?.attributes.ends_in_ms],
      ["gcp", "preempted", "30000"],
    );
    const drainLine = await supervisor.line("worker.draining", () => true);
    const timeoutS = Number(drainLine.timeout_s);
    assert.ok(timeoutS > 15 && timeoutS < 20.5, `the worker has the time of the notice: ${timeoutS} s`);
    assert.deepEqual(logged("launch.stopping"), [], "the scheduler drains it, not a signal");
    gate.open();
    assert.deepEqual(await task.result(), { worker: "spot-1", attempt: 1 });
    assert.deepEqual(await supervisor.ended, { code: 0, signal: null }, "it was not started again");
    const exit = await exitOf("spot-1");
    assert.deepEqual([exit.reason, exit.exitCode], ["finished", 0]);
    const ended = await fleet.workerReason("spot-1", "EXITED", 10_000);
    assert.match(ended.reason.summary, /^gcp ended its machine \(preempted\); it exited with code 0 after /);
  });

  it("T94: what does not end in time is killed, and its attempt runs elsewhere without cost", async () => {
    cloud.schedule();
    const { supervisor, logged, pid } = await supervise(fleet, "spot-2", { args: notices("azure") });
    const gate = fleet.gate();
    const task = await fleet.client.submit("gate", { gate: gate.path }, { queue: "spot-2" });
    await fleet.started(task.id);
    kill(pid(), "SIGSTOP");
    cloud.schedule({
      ...{ EventType: "Preempt", EventStatus: "Started", Resources: ["workers_0"], NotBefore: "" },
      ...{ ResourceType: "VirtualMachine", EventSource: "Platform", Description: "" },
    });
    assert.deepEqual(await supervisor.ended, { code: 137, signal: null });
    assert.equal(logged("launch.machine_notice")[0]?.ends_in_ms, 0);
    const exit = await exitOf("spot-2");
    assert.deepEqual([exit.reason, exit.signal], ["finished", "SIGKILL"]);
    gate.open();
    const other = await supervise(fleet, "spot-2b", { queue: "spot-2" });
    assert.deepEqual(await task.result(), { worker: "spot-2b", attempt: 1 });
    await other.supervisor.end("SIGTERM");
  });

  it("T94: a command that is no worker, or whose scheduler is away, gets SIGTERM", async () => {
    const plain = await supervise(fleet, "spot-3", { args: notices(), command: PLAIN, waitReady: false });
    const alone = await supervise(fleet, "spot-4", {
      ...{ args: [...notices(), "--report-timeout", "0s"], command: PLAIN },
      ...{ scheduler: "127.0.0.1:1", waitReady: false },
    });
    await until("both wait for a notice", () => cloud.waiting === 2 || undefined);
    for (const { supervisor } of [plain, alone])
      await until("it has set its trap", () => supervisor.stdout.includes("up") || undefined);
    cloud.preempt();
    for (const { supervisor } of [plain, alone])
      assert.deepEqual(await supervisor.ended, { code: 0, signal: null }, supervisor.tail());
    assert.equal((await exitOf("spot-3")).reason, "finished");
  });

  it("T95: a pool replaces its worker at once, also at its maximum, and counts no failed start; the launcher leaves", async () => {
    const here = new TestLauncher(fleet);
    const elsewhere = new TestLauncher(fleet);
    try {
      const program = await here.start({ args: notices() });
      await fleet.client.pools.applyPool({ spec: poolSpec(fleet, { name: "spot", min: 1, max: 1 }) });
      const gate = fleet.gate();
      const task = await fleet.client.submit("gate", { gate: gate.path }, { queue: "spot" });
      await fleet.started(task.id);
      await elsewhere.start();
      // The launcher and the supervisor of its worker.
      await until("both wait for a notice", () => cloud.waiting === 2 || undefined);
      cloud.preempt();
      const [second, first] = await until("another worker is ready while the first works", async () => {
        const launches = await launchesOf(fleet, "spot");
        return launches[0]?.state === PoolLaunchState.READY && launches.length === 2 ? launches : undefined;
      });
      assert.equal(first?.state, PoolLaunchState.STOPPING);
      assert.equal(first.stopReason, "gcp ends its machine (preempted)");
      assert.deepEqual(elsewhere.launches(), [second?.launchId]);
      assert.match(
        String(here.logged("launcher.machine_notice")[0]?.msg),
        /its pools go to another launcher$/,
      );
      assert.equal((await fleet.workerState(first.workerId)).state, WorkerState.DRAINING);
      gate.open();
      assert.deepEqual(await task.result(), { worker: first.workerId, attempt: 1 });
      await until("the end of the first is recorded", async () => {
        const launches = await launchesOf(fleet, "spot");
        return launches.at(-1)?.outcome === PoolLaunchOutcome.STOPPED || undefined;
      });
      const { pool } = await fleet.client.pools.getPool({ name: "spot" });
      assert.deepEqual(
        [pool?.launchGuard?.state, pool?.launchGuard?.failedCount],
        [LaunchGuardState.CLOSED, 0],
      );
      assert.equal((await launchesOf(fleet, "spot")).length, 2);
      // A service manager that starts it again on this machine gets no pool for it.
      program.kill("SIGTERM");
      assert.deepEqual(await program.ended, { code: 0, signal: null });
      const again = here.run({ args: notices() });
      await until(
        "it has read the notice",
        () => again.stderr.includes("launcher.machine_notice") || undefined,
      );
      await again.end("SIGTERM");
      assert.ok(!again.stderr.includes("launcher.connected"), again.stderr);
    } finally {
      await here.stop();
      await elsewhere.stop();
    }
  });
});
