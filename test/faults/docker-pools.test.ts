import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { env, execPath } from "node:process";
import { after, before, describe, it } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  DockerPullPolicy,
  type DockerTemplateSchema,
  LaunchTemplateSchema,
  PoolLaunchOutcome,
  PoolLaunchState,
  type Reason,
} from "@muster/protocol";
import { findEngine, IMAGE, machineVolumes, TestEngine } from "../support/docker/engine.ts";
import { EngineProxy } from "../support/docker/engine-proxy.ts";
import { DocExamples } from "../support/fleet/doc-examples.ts";
import { Fleet } from "../support/fleet/fleet.ts";
import { launchesOf, poolSpec, TestLauncher, type TestPool } from "../support/fleet/pool-launcher.ts";
import { BUNDLES_VARIABLE } from "../support/programs/bundled.ts";
import { killAll } from "../support/programs/program.ts";
import { until } from "../support/waits.ts";

const PROGRAMS = findEngine();
const TOKEN = "the-token-of-the-docker-test";

/** Nothing listens there. */
const CLOSED = "127.0.0.1:1";

type Docker = MessageInitShape<typeof DockerTemplateSchema>;

describe("a pool of workers in Docker containers", { skip: typeof PROGRAMS === "string" && PROGRAMS }, () => {
  let engine: TestEngine;
  let fleet: Fleet;
  let launcher: TestLauncher;
  let proxy: EngineProxy;

  before(async () => {
    assert.ok(typeof PROGRAMS === "object");
    engine = await TestEngine.start(PROGRAMS);
    fleet = await Fleet.start({ token: TOKEN });
    const socket = join(engine.folder, "proxy.sock");
    proxy = await EngineProxy.start(socket, engine.socket);
    launcher = new TestLauncher(fleet, { MUSTER_TOKEN: TOKEN, DOCKER_HOST: `unix://${socket}` });
    await launcher.start(SERVES);
  });

  after(async () => {
    await launcher?.stop();
    await killAll();
    await fleet?.stop();
    await proxy?.stop();
    await engine?.stop();
  });

  const SERVES = { args: ["--driver", "docker"] };

  const apply = (pool: TestPool, docker: Docker = {}) => {
    const bundles = env[BUNDLES_VARIABLE];
    const bundled = bundles ? { [BUNDLES_VARIABLE]: bundles } : {};
    const spec = poolSpec(fleet, { ...pool, env: { ...bundled, ...pool.env } });
    // With an init as process 1, a command without a handler of SIGTERM ends by it.
    const value = { image: IMAGE, network: "host", volumes: machineVolumes(), runInit: true, ...docker };
    const { command = [], env: variables = {} } = spec.launchTemplate ?? {};
    const launchTemplate = create(LaunchTemplateSchema, {
      ...{ command, env: variables, driver: { case: "docker", value } },
    });
    return fleet.client.pools.applyPool({ spec: { ...spec, launchTemplate } });
  };

  const remove = async (name: string) => {
    await fleet.client.pools.deletePool({ name });
    await until(`pool ${name} is removed`, async () => {
      const { pools } = await fleet.client.pools.listPools({});
      return pools.every(({ spec }) => spec?.name !== name) || undefined;
    });
  };

  const failure = (name: string): Promise<Reason> =>
    until(`pool ${name} says why its launches failed`, async () => {
      const { explanation } = await fleet.client.pools.explainPool({ name });
      return explanation?.reasons.find(({ code }) => code === "LAUNCHES_FAILED");
    });

  const ready = (name: string) =>
    until(`a worker of ${name} is ready`, async () => {
      const launches = await launchesOf(fleet, name, true);
      return launches.find(({ state }) => state === PoolLaunchState.READY);
    });

  const containers = async (pool: string) =>
    (await engine.containers()).filter((each) => each.startsWith(`muster-${pool}-`));

  const noneLeft = () =>
    until("no container is left", async () => (await engine.containers()).length === 0 || undefined);

  it("launches a container for tasks that wait, and ends and removes it when it has been idle", async () => {
    await apply({ name: "on-demand", idleMs: 300 });
    const task = await fleet.client.submit("echo", { n: 1 }, { queue: "on-demand" });
    assert.deepEqual(await task.result(), { n: 1 });
    await noneLeft();
    const [launch, ...others] = await launchesOf(fleet, "on-demand");
    assert.deepEqual([launch?.outcome, others], [PoolLaunchOutcome.STOPPED, []]);
    await remove("on-demand");
  });

  it("T87: names each cause of a failed start in a container, with its evidence", async () => {
    const node = (script: string) => [execPath, "-e", script];
    const slow = "setInterval(() => console.log('Collecting torch'), 50)";
    const cases: readonly {
      readonly name: string;
      readonly cause: string;
      readonly summary: RegExp;
      readonly pool?: Partial<TestPool>;
      readonly docker?: Docker;
      /** What the engine reports instead in 1 of 10 ends. */
      readonly missed?: { readonly cause: string; readonly summary: RegExp };
      /** What the launcher has reported before the time for the start is set to be over. */
      readonly seen?: string;
    }[] = [
      {
        ...{ name: "no-image", cause: "IMAGE_NOT_FOUND", summary: /ImageNotFound: .*absent:1/ },
        docker: { image: "absent:1", pullPolicy: DockerPullPolicy.NO_PULL },
      },
      {
        ...{ name: "no-registry", cause: "REGISTRY_UNREACHABLE", summary: /connection refused/ },
        docker: { image: `${CLOSED}/worker:1` },
        seen: "observation ->> 'reason' = 'RegistryUnreachable'",
      },
      {
        ...{ name: "no-command", cause: "COMMAND_NOT_FOUND", summary: /no such file or directory$/ },
        pool: { command: ["/no/such/worker"] },
        docker: { runInit: false },
      },
      {
        ...{ name: "no-network", cause: "ENGINE_REFUSED", summary: /network gpus not found$/ },
        docker: { network: "gpus" },
      },
      {
        ...{
          name: "exits",
          cause: "EXITED",
          summary: /exited with code 4 .* its last output: no such model$/,
        },
        pool: { command: node("console.error('no such model'); process.exit(4)") },
      },
      {
        ...{
          name: "crashes",
          cause: "KILLED",
          summary: /by which shells and containers report SIG(ABRT|SEGV) before it was ready/,
        },
        pool: { command: node("process.abort()") },
      },
      {
        ...{ name: "memory", cause: "OUT_OF_MEMORY", summary: /its limit is 16 MiB/ },
        missed: {
          cause: "KILLED",
          summary: /reports no lack of memory, but can miss one: its limit is 16 MiB/,
        },
        pool: { command: ["sh", "-c", "x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done"] },
        docker: { memoryMib: 16n, runInit: false },
      },
      {
        ...{ name: "stranger", cause: "CANNOT_AUTHENTICATE", summary: /token/ },
        pool: { env: { MUSTER_TOKEN: "wrong" } },
      },
      {
        ...{ name: "astray", cause: "CANNOT_REACH", summary: /127\.0\.0\.1:1/ },
        pool: { env: { MUSTER_SCHEDULER_ADDR: CLOSED, WORKER_REGISTER_TIMEOUT_S: "5" } },
      },
      {
        ...{ name: "nameless", cause: "CANNOT_RESOLVE", summary: /no-such-scheduler\.invalid/ },
        pool: {
          env: { MUSTER_SCHEDULER_ADDR: "no-such-scheduler.invalid:7070", WORKER_REGISTER_TIMEOUT_S: "5" },
        },
      },
      {
        ...{ name: "installs", cause: "STILL_STARTING", summary: /it wrote output .* ago/ },
        pool: { command: node(slow) },
        seen: "(observation ->> 'outputBytes')::int > 100",
      },
    ];
    const full = (each: (typeof cases)[number], startupMs = 60_000): TestPool => ({
      ...{ name: each.name, min: 1, minSamples: 1, startupMs },
      ...each.pool,
    });
    try {
      for (const each of cases) await apply(full(each), each.docker);
      for (const each of cases) {
        if (each.seen !== undefined) {
          await until(`${each.name} is seen`, async () => {
            const [row] = await fleet.db.query(
              `select 1 from muster.pool_launch where pool = '${each.name}' and ${each.seen}`,
            );
            return row;
          });
          await apply(full(each, 1_000), each.docker);
        }
        const { summary, evidence } = await failure(each.name);
        const cause = evidence.find(({ key }) => key === "cause")?.value;
        const expected = each.missed?.cause === cause ? each.missed : each;
        assert.equal(cause, expected?.cause, summary);
        assert.match(summary, expected?.summary ?? each.summary);
        assert.equal((await launchesOf(fleet, each.name)).length, 1, each.name);
      }
    } finally {
      for (const { name } of cases) await remove(name);
    }
    await noneLeft();
  });

  for (const [step, path, where] of [
    ["before the creation", /^POST \S*\/containers\/create/, "before"],
    ["between the creation and its answer", /^POST \S*\/containers\/create/, "after"],
    ["between the creation and the start", /^POST \S*\/start/, "before"],
    ["between the start and its answer", /^POST \S*\/start/, "after"],
  ] as const) {
    it(`T88: a launcher that is killed ${step} launches nothing twice`, async () => {
      const name = `killed-${where}-${path.source.includes("create") ? "create" : "start"}`;
      const held = proxy.hold(path, where);
      await apply({ name, min: 1, idleMs: 0 });
      await held;
      await launcher.program.end("SIGKILL");
      const { scheduler } = fleet;
      if (step === "between the creation and the start") {
        await scheduler.program.end("SIGKILL");
        await fleet.restart(scheduler);
      }
      await launcher.start(SERVES);
      const { launchId } = await ready(name);
      const task = await fleet.client.submit("echo", {}, { queue: name });
      assert.deepEqual(await task.result(), {});
      const [run, ...runs] = await fleet.ran(task.id);
      assert.deepEqual([run?.workerId, runs], [launchId, []]);
      assert.deepEqual(await containers(name), [`muster-${launchId}`]);
      assert.deepEqual((await launchesOf(fleet, name)).length, 1);
      await remove(name);
      await noneLeft();
    });
  }

  it("T89: of two launchers on one engine one has a pool; the other takes it over, and ends nothing of the first", async () => {
    await launcher.program.end("SIGTERM");
    const [first, second] = [0, 1].map(
      () => new TestLauncher(fleet, { MUSTER_TOKEN: TOKEN, DOCKER_HOST: engine.host }),
    );
    assert.ok(first && second);
    const gate = fleet.gate();
    try {
      await first.start(SERVES);
      await apply({ name: "shared", max: 2, idleMs: 60_000 });
      const one = await fleet.client.submit("gate", { gate: gate.path }, { queue: "shared" });
      const [ran] = await fleet.ran(one.id);
      await second.start(SERVES);
      await first.program.end("SIGKILL");
      const two = await fleet.client.submit("echo", {}, { queue: "shared" });
      assert.deepEqual(await two.result(), {});
      assert.equal((await containers("shared")).length, 2);
      gate.open();
      assert.deepEqual(await one.result(), { worker: ran?.workerId, attempt: 1 });
      await first.start(SERVES);
      await remove("shared");
      await noneLeft();
    } finally {
      await first.stop();
      await second.stop();
      await launcher.start(SERVES);
    }
  });

  it("T90: a removed container is a lost worker, which another one replaces; one of no known launch is ended", async () => {
    await apply({ name: "removed", min: 1 });
    const lost = await ready("removed");
    await engine.call("DELETE", `/containers/muster-${lost.launchId}?force=true`);
    const ended = await until("its launch has ended", async () => {
      const launches = await launchesOf(fleet, "removed");
      return launches.find(
        ({ launchId, state }) => launchId === lost.launchId && state === PoolLaunchState.ENDED,
      );
    });
    assert.equal(ended.outcome, PoolLaunchOutcome.LOST);
    assert.match(
      ended.summary,
      /^it was ready, then (lost its container, which was removed|ended with exit code 137)/,
    );
    const { launchId } = await ready("removed");
    assert.notEqual(launchId, lost.launchId);
    await launcher.program.end("SIGKILL");
    // As a database would that was restored from an earlier copy.
    await fleet.db.query("delete from muster.pool where name = 'removed'");
    await fleet.db.query("delete from muster.pool_launch where pool = 'removed'");
    await launcher.start(SERVES);
    const orphan = await fleet.scheduler.program.line("launcher.orphan");
    assert.equal(orphan.launch_id, launchId);
    await noneLeft();
  });

  it("T91: an engine that is restarted ends its containers; the launcher says so, goes on, and the pool replaces them", async () => {
    await apply({ name: "restarted", min: 1 });
    const { launchId } = await ready("restarted");
    await engine.end();
    await until("the launcher says it", () => launcher.logged("launcher.engine_unreachable")[0]);
    await engine.begin();
    await until("the launcher says it", () => launcher.logged("launcher.engine_reached")[0]);
    const next = await until("another worker is ready", async () => {
      const launches = await launchesOf(fleet, "restarted", true);
      return launches.find((each) => each.state === PoolLaunchState.READY && each.launchId !== launchId);
    });
    assert.notEqual(next.launchId, launchId);
    await remove("restarted");
    await noneLeft();
  });

  it("the example of docs/launchers-docker.md runs a task in a container", async () => {
    const examples = await DocExamples.start("docs/launchers-docker.md");
    try {
      // The image of the page has a Node and the SDK; that of this test gets them from the machine.
      await engine.import("greeter:1", [`ENV PATH=${dirname(execPath)}:/usr/bin`]);
      const volumes = [...machineVolumes(), `${examples.folder}:/worker:ro`];
      await examples.file("yaml pool.yaml", (text) => {
        const replaced = text.replace('["/srv/greeters:/worker:ro"]', JSON.stringify(volumes));
        assert.notEqual(replaced, text);
        return replaced;
      });
      await examples.files("js worker.js");
      const { stdout } = await examples.shell("sh run", {
        inFolder: true,
        env: { DOCKER_HOST: engine.host },
      });
      assert.match(stdout, /^pool greeters is applied as version 1$/m);
      assert.match(stdout, /Hello, Ada!/);
      assert.match(stdout, /^greeters-[0-9a-f]{12}\t(ready|stopping|ended)\t/m);
      assert.match(stdout, /^pool greeters is being deleted; /m);
      assert.deepEqual(await containers("greeters"), []);
    } finally {
      await examples.stop();
    }
  });
});
