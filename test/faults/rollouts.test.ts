import assert from "node:assert/strict";
import { execPath } from "node:process";
import { after, before, describe, it } from "node:test";
import {
  LaunchGuardState,
  type Pool,
  PoolLaunchOutcome,
  PoolLaunchState,
  RolloutFailureAction,
  RolloutState,
  WorkerState,
} from "@muster/protocol";
import { Fleet } from "../support/fleet/fleet.ts";
import { launchesOf, poolSpec, TestLauncher, type TestPool } from "../support/fleet/pool-launcher.ts";
import { killAll } from "../support/programs/program.ts";
import { until } from "../support/waits.ts";

const CRASHES = [execPath, "-e", "console.error('no such model'); process.exit(4)"];

describe("a rollout of a pool's template", () => {
  let fleet: Fleet;
  let launcher: TestLauncher;

  before(async () => {
    fleet = await Fleet.start();
    launcher = new TestLauncher(fleet);
    await launcher.start();
  });

  after(async () => {
    await launcher.stop();
    await killAll();
    await fleet.stop();
  });

  const apply = (build: string, pool: TestPool) =>
    fleet.client.pools.applyPool({
      spec: poolSpec(fleet, { idleMs: 60_000, ...pool, env: { MUSTER_BUILD_ID: build } }),
    });

  const poolOf = async (name: string): Promise<Pool> => {
    const { pool } = await fleet.client.pools.getPool({ name });
    assert.ok(pool);
    return pool;
  };

  const allReady = (name: string, count: number) =>
    until(`${count} workers of ${name} are ready`, async () => {
      const launches = await launchesOf(fleet, name, true);
      const ready = launches.filter(({ state }) => state === PoolLaunchState.READY);
      return ready.length === count && launches.length === count ? ready : undefined;
    });

  const buildsOf = async (name: string): Promise<Map<string, string>> => {
    const { workers } = await fleet.client.fleet.listWorkers({
      ...{ pool: name, states: [WorkerState.READY, WorkerState.DRAINING] },
    });
    return new Map(workers.map(({ id, buildId }) => [id, buildId]));
  };

  const ended = (name: string) =>
    until(`the rollout of ${name} has ended`, async () => {
      const pool = await poolOf(name);
      return pool.rollout ? undefined : pool;
    });

  const remove = async (name: string) => {
    await fleet.client.pools.deletePool({ name });
    await until(`pool ${name} is removed`, async () => {
      const { pools } = await fleet.client.pools.listPools({});
      return pools.every(({ spec }) => spec?.name !== name) || undefined;
    });
  };

  it("T80: to a build that crashes pauses with the cause, and keeps the workers; a corrected one replaces them, and ends no task", async () => {
    const pool = { name: "careful", min: 2, max: 2, rollout: { maxSurge: 2 } };
    await apply("1", pool);
    const first = (await allReady("careful", 2)).map(({ launchId }) => launchId).sort();
    const gate = fleet.gate();
    const task = await fleet.client.submit("gate", { gate: gate.path }, { queue: "careful" });
    const [run] = await fleet.ran(task.id);
    await apply("2", { ...pool, command: CRASHES });
    const paused = await until("the rollout is paused", async () => {
      const { rollout } = await poolOf("careful");
      return rollout?.state === RolloutState.PAUSED ? rollout : undefined;
    });
    assert.deepEqual(
      [paused.fromBuildId, paused.toBuildId, paused.failedCount, paused.cause, paused.updatedCount],
      ["1", "2", 2, "EXITED", 0],
    );
    assert.match(paused.summary, /exited with code 4 before it was ready; its last output: no such model$/);
    const { explanation } = await fleet.client.pools.explainPool({ name: "careful" });
    const [reason] = explanation?.reasons ?? [];
    assert.equal(reason?.code, "ROLLOUT_PAUSED");
    assert.match(
      reason.summary,
      /^the rollout of pool careful to build 2 is paused since .*: 2 launches of it failed or were lost, the last one \(careful-\w+\) with EXITED: .*; 2 workers of build 1 stay$/,
    );
    assert.match(reason.remedy, /`muster pool rollback careful`/);
    assert.deepEqual(
      reason.evidence
        .filter(({ key }) => key === "remaining")
        .map(({ value }) => value)
        .sort(),
      first
        .map((id) =>
          id === run?.workerId
            ? `build 1 still runs 1 task on ${id}`
            : `build 1 still waits for work on ${id}`,
        )
        .sort(),
    );
    assert.equal((await poolOf("careful")).launchGuard?.state, LaunchGuardState.CLOSED);
    assert.deepEqual(
      [...(await buildsOf("careful"))].sort(),
      first.map((id) => [id, "1"]),
    );
    assert.deepEqual(await (await fleet.client.submit("echo", { n: 1 }, { queue: "careful" })).result(), {
      n: 1,
    });

    await apply("3", pool);
    const last = await until("only the worker with the task is left of build 1", async () => {
      const { rollout } = await poolOf("careful");
      const [only, ...others] = rollout?.remainders ?? [];
      return only?.stopping && others.length === 0 ? only : undefined;
    });
    assert.deepEqual([last.workerId, last.buildId, last.heldCount], [run?.workerId, "1", 1]);
    gate.open();
    assert.deepEqual(await task.result(), { worker: run?.workerId, attempt: 1 });
    await ended("careful");
    assert.deepEqual([...new Set((await buildsOf("careful")).values())], ["3"]);
    const all = await launchesOf(fleet, "careful");
    const outcomes = Map.groupBy(all, ({ outcome }) => outcome);
    assert.equal(outcomes.get(PoolLaunchOutcome.STOPPED)?.length, 2, "those of build 1");
    assert.equal(outcomes.get(PoolLaunchOutcome.FAILED_START)?.length, 2, "those of build 2");
    assert.equal(all.length, 6);
    await remove("careful");
  });

  it("T81: of a scheduler that is killed in the middle of it goes on, launches nothing twice, and goes back by itself", async () => {
    const rollout = { onFailure: RolloutFailureAction.ROLL_BACK, maxFailedLaunches: 1 };
    const pool = { name: "killed", min: 1, max: 1, rollout };
    await apply("1", pool);
    await allReady("killed", 1);
    await apply("2", pool);
    await until("the first launch of build 2 is ordered", async () => {
      const launches = await launchesOf(fleet, "killed", true);
      return launches.some(({ templateVersion }) => templateVersion === 2n) || undefined;
    });
    const { scheduler } = fleet;
    await scheduler.program.end("SIGKILL");
    await fleet.restart(scheduler);
    await ended("killed");
    const [second] = await allReady("killed", 1);
    assert.deepEqual([...(await buildsOf("killed"))], [[second?.workerId, "2"]]);
    assert.equal((await launchesOf(fleet, "killed")).length, 2);

    await apply("3", { ...pool, command: CRASHES });
    const back = await until("it has gone back", async () => {
      const found = await poolOf("killed");
      return found.buildId === "2" && !found.rollout ? found : undefined;
    });
    assert.equal(back.templateVersion, 2n);
    assert.equal((await allReady("killed", 1))[0]?.launchId, second?.launchId);
    const events = await fleet.db.query<{ name: string }>(
      "select name from muster.event where attributes ->> 'pool' = 'killed' and name like 'pool.ro%' order by id",
    );
    assert.deepEqual(
      events.map(({ name }) => name),
      ["pool.rollout_completed", "pool.rolled_back", "pool.rollout_completed"],
    );
    const { pool: rolled, changed } = await fleet.client.pools.rollBackPool({
      name: "killed",
      reason: "a test",
    });
    assert.deepEqual([rolled?.buildId, changed], ["1", true], "without a rollout to the template before");
    await remove("killed");
  });
});
