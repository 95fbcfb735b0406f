import assert from "node:assert/strict";
import { execPath } from "node:process";
import { after, before, describe, it } from "node:test";
import {
  HoldKind,
  LaunchGuardState,
  type Pool,
  PoolLaunchOutcome,
  PoolLaunchState,
  type Reason,
} from "@muster/protocol";
import { Fleet } from "../support/fleet/fleet.ts";
import { launchesOf, poolSpec, TestLauncher, type TestPool } from "../support/fleet/pool-launcher.ts";
import { killAll } from "../support/programs/program.ts";
import { workerCommand } from "../support/programs/supervised.ts";
import { Scrape } from "../support/telemetry/scrape.ts";
import { until, within } from "../support/waits.ts";

const TOKEN = "the-token-of-the-pools-test";

/** Nothing listens there. */
const CLOSED = "127.0.0.1:1";

describe("a pool of workers that a launcher runs as processes", () => {
  let fleet: Fleet;
  let launcher: TestLauncher;

  before(async () => {
    fleet = await Fleet.start({ token: TOKEN });
    launcher = new TestLauncher(fleet, { MUSTER_TOKEN: TOKEN });
    await launcher.start();
  });

  after(async () => {
    await launcher.stop();
    await killAll();
    await fleet.stop();
  });

  const apply = (pool: TestPool) => fleet.client.pools.applyPool({ spec: poolSpec(fleet, pool) });

  const poolOf = async (name: string): Promise<Pool> => {
    const { pool } = await fleet.client.pools.getPool({ name });
    assert.ok(pool);
    return pool;
  };

  const remove = async (name: string) => {
    await fleet.client.pools.deletePool({ name });
    await until(`pool ${name} is removed`, async () => {
      const { pools } = await fleet.client.pools.listPools({});
      return pools.every(({ spec }) => spec?.name !== name) || undefined;
    });
  };

  const poolReason = async (name: string, code: string, boundMs?: number): Promise<Reason> => {
    const look = async () => {
      const { explanation } = await fleet.client.pools.explainPool({ name });
      return explanation?.reasons.find((reason) => reason.code === code);
    };
    if (boundMs === undefined) return until(`pool ${name} says ${code}`, look);
    return (await within(`pool ${name} says ${code}`, boundMs, look)).value;
  };

  const evidence = ({ evidence: facts }: Reason, key: string) =>
    facts.find((fact) => fact.key === key)?.value;

  it("launches a worker for tasks that wait, and stops it when it has been idle", async () => {
    await apply({ name: "on-demand", idleMs: 300 });
    assert.deepEqual(await launchesOf(fleet, "on-demand"), []);
    const task = await fleet.client.submit("echo", { n: 1 }, { queue: "on-demand" });
    assert.deepEqual(await task.result(), { n: 1 });
    const [launch] = await launchesOf(fleet, "on-demand");
    assert.match(launch?.launchId ?? "", /^on-demand-[0-9a-f]{12}$/);
    const ended = await until("the worker is stopped", async () => {
      const [only, ...others] = await launchesOf(fleet, "on-demand");
      assert.deepEqual(others, []);
      return only?.state === PoolLaunchState.ENDED ? only : undefined;
    });
    assert.equal(ended.outcome, PoolLaunchOutcome.STOPPED);
    assert.match(ended.stopReason, /^0 workers wanted in pool on-demand, and it has been idle for /);
    await until("the launcher forgets it", () => launcher.launches().length === 0 || undefined);
    await remove("on-demand");
  });

  it("T71: six of six workers fail to start: launches are suspended, and the cause is named within a startup timeout", async () => {
    const startupMs = 60_000;
    const env = { MUSTER_SCHEDULER_ADDR: CLOSED, WORKER_REGISTER_TIMEOUT_S: "1" };
    await apply({ name: "night", max: 6, startupMs, env });
    const tasks = await fleet.client.submitMany(
      Array.from({ length: 6 }, () => ({ type: "echo", payload: {}, queue: "night" })),
    );
    await poolReason("night", "LAUNCHES_SUSPENDED", startupMs);
    const all = await until("all six have failed", async () => {
      const launches = await launchesOf(fleet, "night");
      return launches.every(({ state }) => state === PoolLaunchState.ENDED) ? launches : undefined;
    });
    assert.equal(all.length, 6);
    for (const { outcome, cause } of all)
      assert.deepEqual([outcome, cause], [PoolLaunchOutcome.FAILED_START, "CANNOT_REACH"]);
    const failed = await poolReason("night", "LAUNCHES_FAILED");
    assert.match(
      failed.summary,
      /^6 of the last 6 launches failed with CANNOT_REACH; of night-\w+, .*: it cannot reach the scheduler: /,
    );
    assert.match(evidence(failed, "last_dial_error") ?? "", /127\.0\.0\.1:1/);
    assert.match(evidence(failed, "log_tail") ?? "", /worker\.startup_timeout_unregistered/);
    const suspended = await fleet.taskReason(tasks[0]?.id ?? "", "LAUNCHES_SUSPENDED", 0);
    assert.match(
      suspended.reason.summary,
      /^launches of pool night are suspended: \d of the last \d starts failed, \d of them with CANNOT_REACH; the next probe is launched in 10 min$/,
    );
    assert.equal(suspended.explanation.reasons[0]?.code, "LAUNCHES_SUSPENDED");
    assert.equal((await launchesOf(fleet, "night")).length, 6, "nothing more is launched");
    const { diagnosis } = await fleet.client.fleet.diagnose({});
    assert.match(
      diagnosis?.checks.find(({ name }) => name === "work.pools")?.summary ?? "",
      /^1 pool is suspended, paused or without a launcher: launches of pool night are suspended: /,
    );
    const metrics = await fetch(`${fleet.scheduler.http}/metrics`, {
      headers: { authorization: `Bearer ${TOKEN}` },
    });
    const scrape = new Scrape(await metrics.text());
    const gauge = (name: string, labels = {}) =>
      scrape.sum(`muster_pool_${name}`, { pool: "night", ...labels });
    assert.deepEqual(
      [
        gauge("launch_guard", { state: "open" }),
        gauge("wanted_workers"),
        gauge("max_workers"),
        gauge("waiting_tasks"),
      ],
      [1, 6, 6, 6],
    );
    const { overview } = await fleet.client.fleet.getOverview({});
    const held = overview?.holds.map(({ key, kind, problem }) => [key, kind, problem]);
    assert.deepEqual(
      held?.slice(0, 1).map(([key, kind]) => [key, kind]),
      [["night", HoldKind.POOL_SUSPENDED]],
    );
    assert.match(String(held?.[0]?.[2]), /^\d of \d starts failed, \d with CANNOT_REACH$/);
    // A corrected template is another one: it is launched at once.
    await apply({ name: "night", max: 6, idleMs: 300 });
    for (const task of tasks) assert.deepEqual(await task.result(), {});
    await remove("night");
  });

  it("T72: the guard opens, survives a killed scheduler, probes, and closes; planned stops do not count", async () => {
    const gate = fleet.gate();
    const command = ["sh", "-c", 'test -e "$GATE" || exit 3; exec "$@"', "sh", ...workerCommand()];
    await apply({
      name: "guarded",
      max: 3,
      minSamples: 3,
      firstBackoffMs: 1_000,
      idleMs: 300,
      command,
      env: { GATE: gate.path },
    });
    const tasks = await fleet.client.submitMany(
      Array.from({ length: 3 }, () => ({ type: "echo", payload: {}, queue: "guarded" })),
    );
    await poolReason("guarded", "LAUNCHES_SUSPENDED");
    const { scheduler } = fleet;
    await scheduler.program.end("SIGKILL");
    await fleet.restart(scheduler);
    const twice = await until("a probe has failed", async () => {
      const { launchGuard } = await poolOf("guarded");
      return launchGuard?.state === LaunchGuardState.OPEN && launchGuard.failedCount >= 4
        ? launchGuard
        : undefined;
    });
    assert.equal(twice.cause, "EXITED");
    const before = await launchesOf(fleet, "guarded");
    const probes = before.filter(({ probe }) => probe).length;
    assert.equal(before.length, 3 + probes, "beside probes nothing is launched");
    gate.open();
    for (const task of tasks) assert.deepEqual(await task.result(), {});
    await until("a start that succeeded closes the guard", async () => {
      const { launchGuard } = await poolOf("guarded");
      return launchGuard?.state === LaunchGuardState.CLOSED || undefined;
    });
    await until(
      "the workers are stopped",
      async () => (await launchesOf(fleet, "guarded", true)).length === 0 || undefined,
    );
    assert.equal(
      (await poolOf("guarded")).launchGuard?.state,
      LaunchGuardState.CLOSED,
      "stops are no failures",
    );
    await remove("guarded");
  });

  it("T73: names a missing command, a wrong token, an exit, a start that goes on, and one that is silent", async () => {
    const node = (script: string) => [execPath, "-e", script];
    const seen = (name: string, state: string) =>
      until(`the process of ${name} is seen`, async () => {
        const [row] = await fleet.db.query(
          `select 1 from muster.pool_launch where pool = '${name}' and ${state}`,
        );
        return row;
      });
    const cases: readonly (TestPool & {
      readonly cause: string;
      readonly summary: RegExp;
      /** What the launcher has reported before the time for the start is set to be over. */
      readonly seen?: string;
    })[] = [
      { name: "missing", command: ["/no/such/worker"], cause: "COMMAND_NOT_FOUND", summary: /ENOENT/ },
      { name: "stranger", env: { MUSTER_TOKEN: "wrong" }, cause: "CANNOT_AUTHENTICATE", summary: /token/ },
      {
        ...{
          name: "exits",
          command: node("console.error('no such model'); process.exit(4)"),
          cause: "EXITED",
        },
        summary: /exited with code 4 before it was ready; its last output: no such model$/,
      },
      {
        ...{ name: "installs", cause: "STILL_STARTING", summary: /it wrote output .* ago/ },
        seen: "(observation ->> 'outputBytes')::int > 1000",
        command: node("setInterval(() => console.log('Collecting torch'), 50)"),
      },
      {
        ...{ name: "silent", cause: "NO_OUTPUT", summary: /has not dialled the scheduler/ },
        seen: "observation ->> 'phase' = 'running'",
        command: node("setInterval(() => undefined, 1_000)"),
      },
    ];
    for (const pool of cases) await apply({ ...pool, min: 1, minSamples: 1 });
    for (const { name, cause, summary, seen: state, ...pool } of cases) {
      if (state !== undefined) {
        await seen(name, state);
        await apply({ ...pool, name, min: 1, minSamples: 1, startupMs: 1_000 });
      }
      const reason = await poolReason(name, "LAUNCHES_FAILED");
      assert.equal(evidence(reason, "cause"), cause, reason.summary);
      assert.match(reason.summary, summary);
    }
    for (const { name } of cases) {
      assert.equal((await launchesOf(fleet, name)).length, 1, name);
      await remove(name);
    }
    await until("no process is left", () => launcher.launches().length === 0 || undefined);
  });

  it("T92: workers that become ready and never accept are replaced, then launches are suspended; a probe has to accept", async () => {
    const gate = fleet.gate();
    await apply({
      ...{ name: "wedged", max: 6, command: workerCommand("wedged.ts"), env: { GATE: gate.path } },
      ...{ minSamples: 2, maxUnaccepted: 1, firstBackoffMs: 1_000 },
    });
    const task = await fleet.client.submit("echo", { n: 1 }, { queue: "wedged" });
    await poolReason("wedged", "LAUNCHES_SUSPENDED");
    const suspended = await until("a ready probe has accepted nothing", async () => {
      const { launchGuard } = await poolOf("wedged");
      return (launchGuard?.failedCount ?? 0) >= 3 ? launchGuard : undefined;
    });
    assert.equal(suspended.cause, "NEVER_ACCEPTS");
    const failed = await poolReason("wedged", "LAUNCHES_FAILED");
    assert.match(
      failed.summary,
      /failed with NEVER_ACCEPTS; of wedged-\w+, .*: it became ready, and did not accept 1 assignment in a row in time; its main loop has not run for \d/,
    );
    assert.equal(evidence(failed, "unaccepted"), "1");
    const before = await launchesOf(fleet, "wedged");
    const probes = before.filter(({ probe }) => probe).length;
    // One more may have been launched for the task before the heartbeat that shows the second failure.
    assert.ok(before.length - probes <= 3, `${before.length} launches, ${probes} of them probes`);
    gate.open();
    assert.deepEqual(await task.result(), { n: 1 });
    // The first one may have been accepted late, by a worker that is to end.
    const next = await fleet.client.submit("echo", { n: 2 }, { queue: "wedged" });
    assert.deepEqual(await next.result(), { n: 2 });
    await until("a worker that has accepted closes the guard", async () => {
      const { launchGuard } = await poolOf("wedged");
      return launchGuard?.state === LaunchGuardState.CLOSED || undefined;
    });
    // Their processes end by SIGTERM now that their loops run again.
    await remove("wedged");
    const outcomes = (await launchesOf(fleet, "wedged")).map(({ outcome, cause }) =>
      outcome === PoolLaunchOutcome.STOPPED ? "stopped" : `${outcome} ${cause}`,
    );
    const expected = [`${PoolLaunchOutcome.FAILED_START} NEVER_ACCEPTS`, "stopped"];
    assert.deepEqual([...new Set(outcomes)].sort(), expected);
  });

  it("T74: a launcher that is killed between a launch and its report launches nothing twice, and its workers go on", async () => {
    const gate = fleet.gate();
    await apply({ name: "survivors", max: 2, idleMs: 300 });
    const task = await fleet.client.submit("gate", { gate: gate.path }, { queue: "survivors" });
    await until("a supervisor has begun", () => {
      const [launchId] = launcher.launches();
      return launchId === undefined ? undefined : launcher.pidOf(launchId, "supervisor");
    });
    await launcher.program.end("SIGKILL");
    await launcher.start();
    const [run] = await fleet.ran(task.id);
    const [launch, ...others] = await launchesOf(fleet, "survivors");
    assert.deepEqual(others, []);
    assert.equal(run?.workerId, launch?.workerId);
    // Again, while its worker runs a task.
    await launcher.program.end("SIGKILL");
    gate.open();
    assert.deepEqual(await task.result(), { worker: run?.workerId, attempt: 1 });
    await launcher.start();
    await until(
      "the next launcher ends it",
      async () => (await launchesOf(fleet, "survivors", true)).length === 0 || undefined,
    );
    assert.equal((await launchesOf(fleet, "survivors"))[0]?.outcome, PoolLaunchOutcome.STOPPED);
    await remove("survivors");
  });

  it("T75: of two launchers one has a pool; the other takes it over, and ends nothing of the first", async () => {
    await launcher.program.end("SIGTERM");
    const [first, second] = [0, 1].map(() => new TestLauncher(fleet, { MUSTER_TOKEN: TOKEN }));
    assert.ok(first && second);
    const gate = fleet.gate();
    try {
      await first.start({ args: ["--pool", "shared"] });
      await apply({ name: "shared", max: 2, idleMs: 60_000 });
      await until("the first has it", async () => (await poolOf("shared")).launcherConnected || undefined);
      await second.start({ args: ["--pool", "shared"] });
      const one = await fleet.client.submit("gate", { gate: gate.path }, { queue: "shared" });
      const [ran] = await fleet.ran(one.id);
      assert.deepEqual([first.launches(), second.launches()], [[ran?.workerId], []]);
      await first.program.end("SIGKILL");
      const two = await fleet.client.submit("echo", {}, { queue: "shared" });
      assert.deepEqual(await two.result(), {});
      assert.equal(second.launches().length, 1, "the second launched one");
      assert.equal((await launchesOf(fleet, "shared")).length, 2);
      gate.open();
      assert.deepEqual(await one.result(), { worker: ran?.workerId, attempt: 1 });
      await first.start({ args: ["--pool", "shared"] });
      await remove("shared");
      await until(
        "each has ended its own",
        () => (first.launches().length === 0 && second.launches().length === 0) || undefined,
      );
    } finally {
      await first.stop();
      await second.stop();
      await launcher.start();
    }
  });

  it("a launcher with a wrong token, or with the folder of another one, ends with the reason", async () => {
    const other = new TestLauncher(fleet, { MUSTER_TOKEN: "wrong" });
    const refused = other.run();
    assert.equal((await refused.ended).code, 4, refused.stderr);
    assert.match(refused.stderr, /token/);
    const second = launcher.run();
    assert.equal((await second.ended).code, 4, second.stderr);
    assert.match(second.stderr, /another launcher uses the state folder/);
    await other.stop();
  });

  it("T76: a worker of no known launch is ended, and logged", async () => {
    await apply({ name: "lost-rows", min: 1 });
    const launch = await until("a worker is ready", async () => {
      const [only] = await launchesOf(fleet, "lost-rows");
      return only?.state === PoolLaunchState.READY ? only : undefined;
    });
    await launcher.program.end("SIGKILL");
    // As a database would that was restored from an earlier copy.
    await fleet.db.query("delete from muster.pool where name = 'lost-rows'");
    await fleet.db.query("delete from muster.pool_launch where pool = 'lost-rows'");
    await launcher.start();
    const orphan = await fleet.scheduler.program.line("launcher.orphan");
    assert.equal(orphan.launch_id, launch.launchId);
    await until("it has ended", () => launcher.launches().length === 0 || undefined);
    await until(
      "its worker has left",
      async () => (await fleet.workerState(launch.workerId)).goneReason || undefined,
    );
  });
});
