import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  known,
  madeFacts,
  madeObservation,
  madePool,
  madeSession,
  madeSpec,
  NOW_MS,
} from "../testing/made-pools.ts";
import { decide } from "./decision/decision.ts";
import { decisionEvents } from "./decision/decision-events.ts";
import type { PoolDecision } from "./decision/pool-decision.ts";
import { NEW_GUARD } from "./guard.ts";
import type { PoolRecord, PoolSpec } from "./pool.ts";
import { applyPool, type KeptTemplate, resumePool, rollBackPool } from "./pool-changes.ts";
import { type KnownLaunch, launchState } from "./pool-launch.ts";
import { remainderInWords, rolloutProgress } from "./rollout-progress.ts";
import { DEFAULT_ROLLOUT, NO_ROLLOUT, type RolloutRule } from "./rollout-record.ts";

const STEP_MS = 5_000;

const template = (build: string): PoolSpec["template"] => ({
  ...madeSpec().template,
  env: build === "" ? {} : { MUSTER_BUILD_ID: build },
});

/** What the launches of a template version do. */
type Fate = "healthy" | "crashes" | "lost" | "silent";

/** A pool over time. Its record goes through JSON with every step, as it does between two schedulers. */
class World {
  pool: PoolRecord;
  open: KnownLaunch[] = [];
  nowMs = NOW_MS;
  readonly kept: KeptTemplate[] = [];
  readonly fates = new Map<number, Fate>();
  readonly launched = new Set<string>();
  readonly events: string[] = [];
  /** Attempts that the worker of a launch holds, by its id. */
  readonly held = new Map<string, number>();
  waiting = 0;
  readonly #versions = new Map<number, number>();
  #made = 0;

  constructor(given: Partial<PoolSpec> = {}) {
    this.pool = madePool({ spec: madeSpec({ template: template("1"), ...given }), rollout: NO_ROLLOUT });
    this.kept.push({ version: 1, template: this.pool.spec.template });
  }

  apply(build: string, given: Partial<PoolSpec> = {}): void {
    const spec = { ...this.pool.spec, ...given, template: template(build) };
    this.#change(applyPool(this.pool, spec, "a test", this.nowMs, 1, this.kept));
  }

  rollBack(version?: number): void {
    this.#change(rollBackPool(this.pool, version, this.kept, "a test", this.nowMs));
  }

  resume(): void {
    this.#change(resumePool(this.pool, "a test"));
  }

  #change(change: ReturnType<typeof resumePool>): void {
    if (!change) return;
    this.pool = change.pool;
    this.events.push(change.event);
    const { templateVersion: version, spec } = this.pool;
    if (this.kept.every((each) => each.version !== version))
      this.kept.unshift({ version, template: spec.template });
  }

  step(): PoolDecision {
    this.nowMs += STEP_MS;
    const launcher = { id: "host-1", session: "s", hostname: "host", untilMs: this.nowMs + 10_000 };
    const pool: PoolRecord = { ...JSON.parse(JSON.stringify(this.pool)), launcher };
    const decision = decide(
      madeFacts({
        ...{ pool, open: this.open, nowMs: this.nowMs, waiting: this.waiting },
        newId: () => `gpu-${++this.#made}`,
      }),
    );
    for (const { name } of decisionEvents(pool, decision, this.nowMs))
      if (name.startsWith("pool.ro")) this.events.push(name);
    this.#carryOut(decision);
    const { guard, wanted, rollout, rollBack } = decision;
    this.pool = { ...this.pool, memory: { guard, wanted }, rollout };
    if (rollBack) {
      const found = this.kept.find(({ version }) => version === rollBack.version);
      assert.ok(found);
      this.pool = {
        ...this.pool,
        spec: { ...this.pool.spec, template: found.template },
        version: this.pool.version + 1,
        templateVersion: rollBack.version,
      };
    }
    this.#live();
    return decision;
  }

  /** Steps until it is so; fails when it does not become so. */
  until(what: string, condition: () => boolean, steps = 300): void {
    for (let step = 0; step < steps; step++) {
      if (condition()) return;
      this.step();
    }
    assert.fail(`${what}: not within ${steps} steps; ${JSON.stringify(this.pool.rollout)}`);
  }

  launchedOf(version: number): number {
    return this.#versions.get(version) ?? 0;
  }

  available(version?: number): number {
    return this.open.filter(
      ({ launch, session }) =>
        launchState(launch) === "ready" &&
        session?.live &&
        (version === undefined || launch.templateVersion === version),
    ).length;
  }

  #carryOut({ changes, launches, template: { version } }: PoolDecision): void {
    this.open = this.open.flatMap((each) => {
      let { launch } = each;
      for (const change of changes) {
        if (change.launch.launchId !== launch.launchId) continue;
        if (change.kind === "ended") return [];
        if (change.kind === "ready") launch = { ...launch, readyMs: this.nowMs };
        if (change.kind === "stop") launch = { ...launch, stop: change.stop };
        if (change.kind === "end_process" && launch.stop)
          launch = { ...launch, stop: { ...launch.stop, endMs: this.nowMs } };
      }
      return [{ ...each, launch }];
    });
    for (const { launchId } of launches) {
      assert.ok(!this.launched.has(launchId), `${launchId} is launched twice`);
      this.launched.add(launchId);
      this.#versions.set(version, this.launchedOf(version) + 1);
      this.open.push(known({ launchId, templateVersion: version, orderMs: this.nowMs, sendMs: this.nowMs }));
    }
  }

  /** What processes do between two looks. */
  #live(): void {
    this.open = this.open.map((each) => {
      const { launch } = each;
      const fate = this.fates.get(launch.templateVersion) ?? "healthy";
      const held = this.held.get(launch.launchId) ?? 0;
      const dies = fate === "crashes" || (fate === "lost" && launch.readyMs !== undefined);
      if (dies || launch.stop?.endMs !== undefined) {
        const observation = madeObservation({
          phase: "ended",
          exitCode: 1,
          logTail: "boom",
          atMs: this.nowMs,
        });
        return { ...each, launch: { ...launch, observation }, session: undefined };
      }
      if (fate === "silent") return each;
      const draining = launch.stop !== undefined;
      const gone = draining && held === 0 ? { live: false, goneMs: this.nowMs, goneReason: "finished" } : {};
      const idle = held > 0 ? { idleMs: undefined } : { idleMs: 1_000 };
      return { ...each, session: madeSession({ held, draining, ...idle, ...gone }) };
    });
  }
}

/** A pool whose workers are all ready. */
function readyPool(count: number, given: Partial<PoolSpec> = {}): World {
  const world = new World({ minWorkers: count, maxWorkers: count, ...given });
  world.until("all are ready", () => world.available() === count);
  world.step();
  return world;
}

const rule = (given: Partial<RolloutRule> = {}): RolloutRule => ({ ...DEFAULT_ROLLOUT, ...given });

describe("a rollout", () => {
  it("replaces the workers one by one, and ends when all have the new template", () => {
    const world = readyPool(3);
    assert.equal(world.pool.rollout.stable?.build, "1");
    world.apply("2");
    assert.deepEqual(
      [world.pool.templateVersion, world.pool.rollout.now?.from.build, world.pool.rollout.now?.to.build],
      [2, "1", "2"],
    );
    const first = world.step();
    assert.deepEqual(
      first.launches.map(({ reason }) => reason),
      ["the pool changes from build 1 to build 2"],
    );
    assert.deepEqual(first.changes, [], "no worker stops before a new one is ready");
    world.until("it ends", () => world.pool.rollout.now === undefined);
    assert.equal(world.available(2), 3);
    assert.deepEqual(world.pool.rollout.stable, { version: 2, build: "2", driver: "process" });
    assert.deepEqual(world.events, ["pool.changed", "pool.rollout_completed"]);
    assert.equal(world.launched.size, 6);
  });

  it("drains those that hold least first, and waits for one that holds work, which it names", () => {
    const world = readyPool(2);
    const [busy] = world.open;
    assert.ok(busy);
    world.held.set(busy.launch.launchId, 3);
    world.step();
    world.apply("2");
    world.until("the other one stops", () => world.open.some(({ launch }) => launch.stop !== undefined));
    assert.notEqual(world.open.find(({ launch }) => launch.stop)?.launch.launchId, busy.launch.launchId);
    world.until("only the busy one remains", () => {
      const earlier = world.open.filter(({ launch }) => launch.templateVersion === 1);
      return earlier.length === 1 && earlier[0]?.launch.stop !== undefined;
    });
    const { now } = world.pool.rollout;
    assert.ok(now, "the rollout has not ended");
    assert.deepEqual(rolloutProgress(world.pool, now, world.open).remaining.map(remainderInWords), [
      `build 1 still runs 3 tasks on ${busy.launch.launchId}`,
    ]);
    world.held.delete(busy.launch.launchId);
    world.until("it ends", () => world.pool.rollout.now === undefined);
  });

  it("pauses after failed starts with the cause, and keeps all earlier workers, whose template lost ones get again", () => {
    const world = readyPool(3);
    world.fates.set(2, "crashes");
    world.apply("2");
    world.until("it pauses", () => world.pool.rollout.now?.pause !== undefined);
    const { pause } = world.pool.rollout.now ?? {};
    assert.deepEqual([pause?.failed, pause?.cause], [2, "EXITED"]);
    assert.match(pause?.summary ?? "", /exited with code 1/);
    assert.equal(world.available(1), 3);
    const before = world.launched.size;
    for (let step = 0; step < 100; step++) world.step();
    assert.equal(world.launched.size, before, "nothing more is launched");
    assert.deepEqual(world.pool.memory.guard, NEW_GUARD, "the guard is that of the earlier template");
    // One of the earlier workers is lost.
    world.open = world.open.slice(1);
    world.until("it is replaced", () => world.available(1) === 3);
    world.resume();
    assert.equal(world.pool.rollout.now?.failed, 0);
    world.until("it pauses again", () => world.pool.rollout.now?.pause !== undefined);
    assert.equal(world.available(1), 3);
    world.apply("3");
    world.until("a corrected template takes over", () => world.pool.rollout.now === undefined);
    assert.equal(world.available(3), 3);
  });

  it("pauses when workers of the new template are lost after they were ready", () => {
    const world = readyPool(3);
    world.fates.set(2, "lost");
    world.apply("2");
    world.until("it pauses", () => world.pool.rollout.now?.pause !== undefined);
    assert.ok(world.available(1) === 3, `${world.available(1)} earlier workers`);
  });

  it("goes back by itself when that is set, and the workers that were never stopped stay", () => {
    const world = readyPool(3, { rollout: rule({ onFailure: "roll_back" }) });
    const before = world.open.map(({ launch }) => launch.launchId).sort();
    world.fates.set(2, "crashes");
    world.apply("2");
    world.until("it goes back", () => world.pool.templateVersion === 1);
    assert.match(
      world.pool.rollout.now?.reason ?? "",
      /^2 launches of build 2 failed, the last with EXITED$/,
    );
    world.until("it ends", () => world.pool.rollout.now === undefined);
    assert.deepEqual(world.open.map(({ launch }) => launch.launchId).sort(), before);
    assert.deepEqual(world.events, ["pool.changed", "pool.rolled_back", "pool.rollout_completed"]);
    assert.equal(world.pool.spec.template.env.MUSTER_BUILD_ID, "1");
  });

  it("is rolled back by an operator, by applying the earlier template, or to a version", () => {
    const world = readyPool(2);
    world.apply("2");
    world.until("one is ready", () => world.available(2) === 1);
    world.rollBack();
    assert.deepEqual([world.pool.templateVersion, world.pool.version], [1, 3]);
    world.until("it ends", () => world.pool.rollout.now === undefined);
    assert.equal(world.available(1), 2);
    world.apply("3");
    world.step();
    world.apply("1");
    assert.equal(world.pool.templateVersion, 1, "the stable template keeps its version");
    world.until("it ends", () => world.pool.rollout.now === undefined);
    world.rollBack(2);
    assert.equal(world.pool.spec.template.env.MUSTER_BUILD_ID, "2");
    assert.throws(() => world.rollBack(9), {
      reason: "NO_EARLIER_TEMPLATE",
      message: /keeps no template version 9: kept are the versions 4, 1, and it has version 2; apply/,
    });
    assert.throws(() => new World().rollBack(), {
      reason: "NO_EARLIER_TEMPLATE",
      message: /^pool gpu has no earlier template to go back to: no other is kept/,
    });
  });

  it("of a template of which no worker was ready launches at once, and the guard decides when it fails", () => {
    const world = new World({ minWorkers: 2 });
    world.fates.set(1, "crashes");
    world.until("launches are suspended", () => world.pool.memory.guard.now.state === "open");
    world.fates.set(2, "crashes");
    world.apply("2");
    const { launches, template: launched } = world.step();
    assert.deepEqual([launches.length, launched.version], [2, 2]);
    world.until("launches are suspended", () => world.pool.memory.guard.now.state === "open");
    assert.equal(world.pool.rollout.now?.pause, undefined, "there is nothing to go back to");
  });

  it("stops launches of the earlier template that are not ready, which are no failed starts", () => {
    const world = readyPool(1, { maxWorkers: 3 });
    world.fates.set(1, "silent");
    world.waiting = 3;
    world.step();
    assert.equal(world.open.length, 3);
    world.waiting = 0;
    world.apply("2");
    const { changes } = world.step();
    assert.deepEqual(
      changes.map((change) => (change.kind === "stop" ? change.stop.kind : change.kind)),
      ["rollout", "rollout"],
    );
    assert.deepEqual(world.pool.memory.guard.samples, []);
  });

  it("waits while the pool is paused", () => {
    const world = readyPool(2);
    world.apply("2");
    world.pool = { ...world.pool, pause: { reason: "maintenance", atMs: world.nowMs } };
    const { changes, launches, limits } = world.step();
    assert.deepEqual([changes, launches, limits.map(({ code }) => code)], [[], [], ["PAUSED"]]);
  });

  it("begins also for a template that a scheduler without rollouts has applied", () => {
    const world = readyPool(2);
    // It knows neither the column nor what is kept in it.
    world.pool = {
      ...world.pool,
      ...{ version: 2, templateVersion: 2, spec: { ...world.pool.spec, template: template("2") } },
    };
    world.step();
    assert.equal(world.pool.rollout.now?.to.version, 2);
    assert.equal(world.available(1), 2);
    world.until("it ends", () => world.pool.rollout.now === undefined);
  });

  it("keeps as many available as are wanted but for the rule, exceeds no bound, and ends, whatever the rule", () => {
    const rules = fc
      .record({ maxSurge: fc.nat(3), maxUnavailable: fc.nat(3), minReadyMs: fc.constantFrom(0, 10_000) })
      .filter(({ maxSurge, maxUnavailable }) => maxSurge + maxUnavailable > 0);
    const holds = fc.array(fc.nat(3), { minLength: 1, maxLength: 6 });
    const fates = fc.array(fc.constantFrom<Fate>("healthy", "healthy", "crashes", "lost", "silent"), {
      minLength: 1,
      maxLength: 3,
    });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), rules, holds, fates, (count, given, held, turns) => {
        const world = readyPool(count, {
          rollout: rule(given),
          maxWorkers: count + 1,
          startupTimeoutMs: 20_000,
        });
        for (const [at, { launch }] of world.open.entries())
          world.held.set(launch.launchId, held[at % held.length] ?? 0);
        let version = 1;
        const watched = () => {
          const before = world.available();
          const decision = world.step();
          assert.ok(
            world.open.length <= count + 1 + given.maxSurge,
            `${world.open.length} processes of ${count}`,
          );
          const stopped = decision.changes.filter(
            (change) =>
              change.kind === "stop" &&
              change.stop.kind === "rollout" &&
              launchState(change.launch) === "ready",
          ).length;
          const wanted = decision.desired.count;
          assert.ok(
            stopped === 0 || before - stopped >= wanted - given.maxUnavailable,
            `${stopped} of ${before} available workers stop, and ${wanted} are wanted`,
          );
        };
        for (const fate of turns) {
          version++;
          world.apply(String(version));
          world.fates.set(world.pool.templateVersion, fate);
          for (let step = 0; step < 40; step++) watched();
          // The attempts of the earlier workers end.
          if (fate === "healthy") world.held.clear();
        }
        world.held.clear();
        world.apply("last");
        for (let step = 0; step < 200 && world.pool.rollout.now; step++) watched();
        assert.equal(world.pool.rollout.now, undefined);
        world.until("all are ready", () => world.available(world.pool.templateVersion) >= count);
        assert.ok(
          world.open.every(({ launch }) => launch.templateVersion === world.pool.templateVersion),
          "no other worker remains",
        );
      }),
      { numRuns: 80 },
    );
  });

  it("whose launches all fail costs no more of them than were needed to know that, over hours", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 4 }),
        fc.constantFrom<Fate>("crashes", "silent", "lost"),
        (count, maxSurge, fate) => {
          const world = readyPool(count, { startupTimeoutMs: 20_000, rollout: rule({ maxSurge }) });
          world.fates.set(2, fate);
          world.apply("2");
          for (let step = 0; step < 3_600_000 / STEP_MS; step++) world.step();
          const launched = world.launchedOf(2);
          const { maxFailedLaunches: failed } = DEFAULT_ROLLOUT;
          const most = fate === "lost" ? failed + maxSurge : Math.max(maxSurge, failed);
          assert.ok(launched <= most, `${launched} launches`);
          assert.equal(world.available(1), count);
        },
      ),
      { numRuns: 15 },
    );
  });

  it("counts a new worker as available only when it has been ready for as long as the rule says", () => {
    const world = readyPool(1, { rollout: rule({ minReadyMs: 3 * STEP_MS }) });
    world.apply("2");
    world.until("the new one is ready", () => world.available(2) === 1);
    const at = world.nowMs;
    world.until("the earlier one stops", () => world.available(1) === 0);
    assert.ok(world.nowMs - at >= 3 * STEP_MS, `after ${world.nowMs - at} ms`);
  });
});
