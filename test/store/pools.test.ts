import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { decide } from "../../scheduler/src/domain/pools/decision/decision.ts";
import type { PoolFacts } from "../../scheduler/src/domain/pools/decision/pool-decision.ts";
import type { PoolSpec } from "../../scheduler/src/domain/pools/pool.ts";
import { applyPool, deletePool } from "../../scheduler/src/domain/pools/pool-changes.ts";
import { madeObservation, madeSpec } from "../../scheduler/src/domain/testing/made-pools.ts";
import type { LauncherClaim, Store } from "../../scheduler/src/store/store.ts";
import { openFixture, type StoreFixture } from "./fixture.ts";

const LEASE_MS = 60_000;

describe("the store of pools", () => {
  let fixture: StoreFixture;
  let store: Store;

  before(async () => {
    fixture = await openFixture();
    store = fixture.store;
  });

  after(() => fixture.close());

  const apply = (name: string, given: Partial<PoolSpec> = {}) => {
    const spec = madeSpec({ name, ...given });
    return store.changePool(name, (pool, nowMs, count, kept) =>
      applyPool(pool, spec, "a test", nowMs, count, kept),
    );
  };

  const claim = (launcherId: string, pool: string, given: Partial<LauncherClaim> = {}): LauncherClaim => ({
    ...{
      launcherId,
      session: randomUUID(),
      hostname: "host",
      drivers: ["process"],
      pools: [pool],
      first: true,
    },
    ...given,
  });

  let made = 0;
  const decided = (name: string, waiting: number) =>
    store.decidePool(name, (facts) =>
      decide({
        ...facts,
        waiting,
        nextTime: () => undefined,
        newId: () => `${name}-${++made}`,
      } satisfies PoolFacts),
    );

  const launched = async (name: string, waiting = 1): Promise<string[]> =>
    ((await decided(name, waiting))?.launches ?? []).map(({ launchId }) => launchId);

  it("keeps a spec, its versions and the event of each change, and nothing of an apply that changes nothing", async () => {
    assert.equal((await apply("kept")).changed, true);
    assert.equal((await apply("kept")).changed, false);
    const scaled = await apply("kept", { maxWorkers: 9 });
    assert.deepEqual([scaled.pool?.version, scaled.pool?.templateVersion], [2, 1]);
    const template = { ...madeSpec().template, command: ["other"] };
    const replaced = await apply("kept", { maxWorkers: 9, template });
    assert.deepEqual([replaced.pool?.version, replaced.pool?.templateVersion], [3, 3]);
    const events = await fixture.db.query<{ name: string }>(
      "select name from muster.event where attributes ->> 'pool' = 'kept' order by id",
    );
    assert.deepEqual(
      events.map(({ name }) => name),
      ["pool.created", "pool.changed", "pool.changed"],
    );
  });

  it("gives a pool to one launcher; a newer process of it takes over at once, another one after the lease", async () => {
    await apply("leased");
    const first = claim("one", "leased");
    assert.deepEqual(await store.leasePools(first, LEASE_MS), ["leased"]);
    assert.deepEqual(await store.leasePools({ ...first, first: false }, LEASE_MS), ["leased"], "renewed");
    assert.deepEqual(await store.leasePools(claim("two", "leased"), LEASE_MS), []);
    const newer = claim("one", "leased");
    assert.deepEqual(await store.leasePools(newer, LEASE_MS), ["leased"]);
    assert.deepEqual(
      await store.leasePools({ ...first, first: false }, LEASE_MS),
      [],
      "the older process lost it",
    );
    await store.releasePools(newer.session);
    assert.deepEqual(await store.leasePools(claim("two", "leased"), 0), ["leased"]);
    assert.deepEqual(
      await store.leasePools(claim("three", "leased"), LEASE_MS),
      ["leased"],
      "the lease was over",
    );
    assert.deepEqual(await store.leasePools(claim("four", "leased", { drivers: ["docker"] }), LEASE_MS), []);
  });

  it("gives a launch to one launcher only, also when another one has the pool later", async () => {
    await apply("sent");
    const first = claim("first", "sent");
    await store.leasePools(first, LEASE_MS);
    const [launchId = ""] = await launched("sent");
    const take = (of: LauncherClaim, sent: readonly string[] = []) =>
      store
        .takeLaunches(of.launcherId, of.session, ["sent"], sent)
        .then((taken) => taken.map((each) => each.launchId));
    const second = claim("second", "sent");
    assert.deepEqual(await take(second), [], "it does not have the pool");
    assert.deepEqual(await take(first), [launchId]);
    assert.deepEqual(await take(first), [launchId], "a process that was killed gets it again");
    assert.deepEqual(await take(first, [launchId]), [], "but not in one session");
    await store.releasePools(first.session);
    await store.leasePools(second, LEASE_MS);
    assert.deepEqual(await take(second), []);
    assert.deepEqual(
      await store.observeLaunches("second", [
        { ...madeObservation({ phase: "pending" }), launchId },
        { ...madeObservation(), launchId: "unknown" },
      ]),
      {
        unknown: ["unknown"],
        ended: [],
      },
    );
    assert.deepEqual(await take(second), [launchId], "who reports it has it");
    await store.observeLaunches("second", [{ ...madeObservation({ phase: "running" }), launchId }]);
    assert.deepEqual(await take(second), [], "what has run is not started again, also when it is gone");
  });

  it("decides once when two schedulers decide at the same moment", async () => {
    await apply("contended", { maxWorkers: 100, maxStarting: 100 });
    await store.leasePools(claim("c", "contended"), LEASE_MS);
    const other = fixture.another();
    const both = [store, other].flatMap((each) =>
      Array.from({ length: 5 }, () =>
        each.decidePool("contended", (facts) =>
          decide({ ...facts, waiting: 7, nextTime: () => undefined, newId: () => `contended-${++made}` }),
        ),
      ),
    );
    await Promise.all(both);
    assert.equal(
      (await store.listPoolLaunches({ pool: "contended", open: true, beforeRow: undefined, limit: 100 }))
        .length,
      7,
    );
  });

  it("keeps the templates by version: a launch has the one of its decision, and a rollout goes back to it by itself", async () => {
    const launcher = claim("r", "rolling");
    const env = (build: string) => ({
      template: { ...madeSpec().template, env: { MUSTER_BUILD_ID: build } },
    });
    await apply("rolling", { minWorkers: 1, ...env("1") });
    await store.leasePools(launcher, LEASE_MS);
    const [first = ""] = await launched("rolling", 0);
    await apply("rolling", { minWorkers: 1, ...env("2") });
    const taken = await store.takeLaunches("r", launcher.session, ["rolling"], []);
    assert.deepEqual(
      taken.map(({ launchId, spec }) => [launchId, spec.template.env.MUSTER_BUILD_ID]),
      [[first, "1"]],
    );
    assert.deepEqual(
      (await store.poolTemplates("rolling")).map(({ version, template }) => [
        version,
        template.env.MUSTER_BUILD_ID,
      ]),
      [
        [2, "2"],
        [1, "1"],
      ],
    );
    // As after a failure of its launches, decided by the other scheduler.
    const stable = { version: 1, build: "1", driver: "process" };
    await fixture.another().decidePool("rolling", (facts) => ({
      ...decide({ ...facts, waiting: 0, nextTime: () => undefined, newId: () => "none" }),
      ...{ rollout: { stable, now: undefined }, rollBack: stable, launches: [] },
    }));
    const [known] = (await store.listPools({ afterName: "rollinf", limit: 1 })).pools;
    assert.deepEqual(
      [
        known?.pool.version,
        known?.pool.templateVersion,
        known?.pool.rollout.stable,
        known?.pool.spec.template,
      ],
      [3, 1, stable, env("1").template],
    );
    for (let build = 3; build < 30; build++) await apply("rolling", { minWorkers: 1, ...env(`${build}`) });
    const versions = (await store.poolTemplates("rolling")).map(({ version }) => version);
    assert.ok(versions.includes(1) && versions.length <= 23, `kept are ${versions.join()}`);
  });

  it("records an end with its diagnosis once, and keeps the guard", async () => {
    await apply("failing");
    const launcher = claim("f", "failing");
    await store.leasePools(launcher, LEASE_MS);
    const [launchId = ""] = await launched("failing");
    await store.takeLaunches("f", launcher.session, ["failing"], []);
    const ended = madeObservation({ phase: "ended", exitCode: 3, logTail: "no model" });
    assert.deepEqual(await store.observeLaunches("f", [{ ...ended, launchId }]), { unknown: [], ended: [] });
    assert.deepEqual(await store.endedLaunches([launchId]), []);
    await decided("failing", 0);
    assert.deepEqual(await store.endedLaunches([launchId]), [launchId]);
    assert.deepEqual(await store.observeLaunches("f", [{ ...ended, launchId }]), {
      unknown: [],
      ended: [launchId],
    });
    const [listed] = await store.listPoolLaunches({
      pool: "failing",
      open: false,
      beforeRow: undefined,
      limit: 1,
    });
    assert.equal(listed?.launch.end?.outcome, "failed_start");
    assert.equal(listed?.launch.end?.diagnosis?.cause, "EXITED");
    const [known] = (await fixture.another().listPools({ afterName: "faih", limit: 1 })).pools;
    assert.deepEqual(
      known?.pool.memory.guard.samples.map(({ cause }) => cause),
      ["EXITED"],
    );
  });

  it("removes a pool that is deleted after its last launch, and keeps the launches", async () => {
    await apply("removed");
    await store.leasePools(claim("r", "removed"), LEASE_MS);
    const [launchId = ""] = await launched("removed");
    await store.changePool("removed", (pool, nowMs) => pool && deletePool(pool, "a test", nowMs));
    assert.equal((await decided("removed", 5))?.remove, false);
    assert.equal((await decided("removed", 5))?.remove, true);
    assert.equal(await decided("removed", 5), undefined);
    assert.deepEqual(await store.endedLaunches([launchId]), [launchId]);
  });
});
