import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { env } from "node:process";
import { after, before, describe, it } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { DockerPullPolicy, DockerTemplateSchema } from "@muster/protocol";
import { systemClock } from "../../launcher/src/clock.ts";
import { DockerDriver } from "../../launcher/src/docker/docker-driver.ts";
import type { LaunchDriver, LaunchOrder, ObservedLaunch } from "../../launcher/src/driver.ts";
import type { Environment } from "../../launcher/src/environment.ts";
import { findEngine, IMAGE, machineVolumes, TestEngine } from "../support/docker/engine.ts";
import { ACCOUNT, TestRegistry } from "../support/docker/registry.ts";
import { until, WAIT_MS } from "../support/waits.ts";

const PROGRAMS = findEngine();

describe("the driver of Docker containers", { skip: typeof PROGRAMS === "string" && PROGRAMS }, () => {
  const folder = mkdtempSync(join(tmpdir(), "muster-driver-"));
  const lines: string[] = [];
  const drivers: LaunchDriver[] = [];
  let engine: TestEngine;

  const driver = (state = folder, launcherId = "launcher-1", given: Environment = env): DockerDriver => {
    const log = { write: (_: string, event: string) => void lines.push(event) };
    const made = new DockerDriver({ launcherId, folder: state, env: given, clock: systemClock, log });
    drivers.push(made);
    return made;
  };

  before(async () => {
    assert.ok(typeof PROGRAMS === "object");
    engine = await TestEngine.start(PROGRAMS);
    // The library reads it from the process.
    env.DOCKER_HOST = engine.host;
  });

  after(async () => {
    await Promise.all(drivers.map((each) => each.close()));
    await engine?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const order = (
    launchId: string,
    script: string,
    settings: MessageInitShape<typeof DockerTemplateSchema> = {},
  ): LaunchOrder => ({
    ...{
      launchId,
      pool: "p",
      workerId: launchId,
      secretNames: ["HF"],
      secretSources: [],
      startupTimeoutMs: 60_000,
    },
    command: script === "" ? [] : ["sh", "-c", script],
    env: { HF: "a-value-that-must-not-show", MUSTER_LAUNCH_ID: launchId },
    engine: {
      case: "docker",
      value: create(DockerTemplateSchema, {
        ...{ image: IMAGE, network: "host", volumes: machineVolumes() },
        ...settings,
      }),
    },
  });

  /** Waits with the events of one driver: they carry out its stops, too. */
  const observed = async (
    from: LaunchDriver,
    launchId: string,
    matches: (launch: ObservedLaunch) => boolean,
  ): Promise<ObservedLaunch> => {
    const seen: ObservedLaunch[] = [];
    const find = async () => {
      for await (const launch of from.events()) {
        if (launch.launchId !== launchId) continue;
        seen.push(launch);
        if (matches(launch)) return launch;
      }
      throw new Error("the events ended");
    };
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => late.reject(new Error(`${launchId}: only ${JSON.stringify(seen)} was observed`)),
      WAIT_MS,
    );
    try {
      return await Promise.race([find(), late.promise]);
    } finally {
      clearTimeout(timer);
    }
  };
  const ended = ({ phase }: ObservedLaunch) => phase === "ended";
  const running = ({ phase }: ObservedLaunch) => phase === "running";

  it("starts one container for an id, whoever asks and how often, and knows it after a restart", async () => {
    const [first, second] = [driver(), driver()];
    await Promise.all(
      [first, second, first].map((each) => each.launch(order("one", "echo here; sleep 1000"))),
    );
    await observed(first, "one", running);
    const again = driver();
    assert.deepEqual(
      (await again.list()).map(({ launchId, phase }) => [launchId, phase]),
      [["one", "running"]],
    );
    await again.launch(order("one", "echo twice"));
    const said = await observed(again, "one", ({ outputBytes }) => outputBytes > 0);
    assert.equal(said.logTail, "here\n");
    await again.stop("one", { graceMs: 0 });
    assert.equal((await observed(again, "one", ended)).exitCode, 137);
    await again.forget("one");
    await until("it is removed", async () => {
      await again.list();
      return (await engine.container("muster-one")) === undefined || undefined;
    });
    assert.deepEqual(await again.list(), []);
  });

  it("starts one container for each id while another launcher, as one that was killed, has asked for the same", async () => {
    const [first, second] = [driver(), driver()];
    const ids = Array.from({ length: 8 }, (_, n) => `same-${n}`);
    // A name is taken before the engine shows its container.
    await Promise.all(
      ids.flatMap((id) => [first, second].map((each) => each.launch(order(id, "echo here; sleep 1000")))),
    );
    for (const id of ids) {
      assert.equal((await observed(first, id, ({ phase }) => phase !== "pending")).phase, "running", id);
      assert.equal((await observed(second, id, ({ phase }) => phase !== "pending")).phase, "running", id);
    }
    // Its next tries would start what the other one has removed: two living launchers never have one state folder.
    await second.close();
    for (const id of ids) await first.stop(id, { graceMs: 0 });
    for (const id of ids) await observed(first, id, ended);
    for (const id of ids) await first.forget(id);
    let left: readonly ObservedLaunch[] = [];
    await until(
      "they are removed",
      async () => {
        left = await first.list();
        return left.length === 0 || undefined;
      },
      () => JSON.stringify(left),
    );
  });

  it("reports exit code and last output, with secrets masked also for those that another process started", async () => {
    await driver().launch(order("ends", "echo token $HF; echo no such model; exit 4"));
    const { exitCode, logTail, outputBytes, outOfMemory } = await observed(driver(), "ends", ended);
    assert.deepEqual([exitCode, logTail, outOfMemory], [4, "token [redacted]\nno such model\n", false]);
    assert.ok(outputBytes > 0);
  });

  it("starts nothing twice: not what has ended, not what was removed, not what another process made", async () => {
    const one = driver();
    await one.launch(order("removed", "sleep 1000"));
    await observed(one, "removed", running);
    await engine.call("DELETE", "/containers/muster-removed?force=true");
    const { reason, exitCode } = await observed(one, "removed", ended);
    assert.deepEqual([reason, exitCode], ["ContainerRemoved", undefined]);
    const next = driver();
    await next.launch(order("removed", "sleep 1000"));
    await observed(next, "removed", ended);
    assert.equal(await engine.container("muster-removed"), undefined);
    await next.launch(order("ends", "echo again"));
    assert.equal((await observed(next, "ends", ended)).exitCode, 4);
    // As a launcher leaves it that is killed between the creation and the start, and before it has stored the claim.
    const { Id } = JSON.parse(
      (
        await engine.call("POST", "/containers/create?name=muster-half", {
          Image: IMAGE,
          Cmd: ["sh", "-c", "echo half"],
          Labels: { "dev.muster.launch": "half", "dev.muster.launcher": "launcher-1" },
          HostConfig: { NetworkMode: "host", Binds: machineVolumes() },
        })
      ).body,
    );
    assert.ok(Id);
    const half = (await next.list()).find(({ launchId }) => launchId === "half");
    assert.equal(half?.phase, "pending", "the scheduler sends it again");
    await next.launch(order("half", "echo other"));
    assert.equal((await observed(next, "half", ended)).logTail, "half\n");
  });

  it("leaves the containers of other launchers alone", async () => {
    const state = mkdtempSync(join(tmpdir(), "muster-driver-"));
    const other = driver(state, "launcher-2");
    await other.launch(order("theirs", "sleep 1000"));
    await observed(other, "theirs", running);
    const own = driver();
    assert.ok((await own.list()).every(({ launchId }) => launchId !== "theirs"));
    await own.launch(order("theirs", "sleep 1000"));
    const { reason, detail } = await observed(own, "theirs", ended);
    assert.equal(reason, "EngineRefused");
    assert.match(detail, /another owner has the name muster-theirs/);
    await own.stop("theirs", { graceMs: 0 });
    await own.forget("theirs");
    await own.list();
    assert.equal((await engine.container("muster-theirs"))?.Running, true);
    await other.stop("theirs", { graceMs: 0 });
    await observed(other, "theirs", ended);
  });

  it("distinguishes a command that is not there, memory that ran out, and what the engine refuses", async () => {
    const one = driver();
    const settings = { image: IMAGE, network: "host", volumes: machineVolumes() };
    const command = order("command", "");
    await one.launch({ ...command, command: ["/no/such/worker"] });
    await one.launch(order("folder", "", { entrypoint: ["/etc"] }));
    await one.launch(
      order("memory", "x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done", { ...settings, memoryMib: 16n }),
    );
    await one.launch(order("network", "true", { network: "none-of-this-name" }));
    await one.launch(order("source", "true", { volumes: ["/no/such/folder:/data"] }));
    await one.launch(order("gpus", "true", { ...settings, gpus: { all: true } }));
    const seen = async (launchId: string) => {
      const { reason, detail, exitCode, outOfMemory } = await observed(one, launchId, ended);
      return { reason, detail, exitCode, outOfMemory };
    };
    const missing = await seen("command");
    assert.deepEqual([missing.reason, missing.exitCode], ["StartError", undefined]);
    assert.match(missing.detail, /^exec: "\/no\/such\/worker": .*no such file or directory$/);
    const lacking = await seen("memory");
    assert.equal(lacking.exitCode, 137);
    // The engine misses some of these ends.
    assert.equal(lacking.reason, lacking.outOfMemory ? "OOMKilled" : "");
    assert.match(lacking.detail, /its limit is 16 MiB$/);
    assert.equal((await seen("folder")).reason, "StartError");
    for (const [launchId, detail] of [
      ["network", /network none-of-this-name not found/],
      ["source", /source path does not exist: \/no\/such\/folder/],
      ["gpus", /could not select device driver/],
    ] as const) {
      const refused = await seen(launchId);
      assert.equal(refused.reason, "EngineRefused", launchId);
      assert.match(refused.detail, detail);
    }
  });

  it("pulls an image with its progress, and says which images cannot be pulled and why", async () => {
    const registry = await TestRegistry.start();
    const guarded = await TestRegistry.start({ login: true });
    const login = mkdtempSync(join(tmpdir(), "muster-driver-"));
    const auth = Buffer.from(`${ACCOUNT.username}:${ACCOUNT.password}`).toString("base64");
    writeFileSync(join(login, "config.json"), JSON.stringify({ auths: { [guarded.name]: { auth } } }));
    const one = driver();
    try {
      const image = (name: string, from = registry) => ({ image: `${from.name}/${name}` });
      const release = registry.hold();
      for (const launchId of ["pulled", "pulled-too"])
        await one.launch(order(launchId, "", { ...image("worker:1"), volumes: machineVolumes() }));
      const half = await observed(one, "pulled", ({ outputBytes }) => outputBytes > 0);
      assert.deepEqual([half.phase, half.reason], ["pending", "Pulling"]);
      assert.match(half.detail, /^pulling 127\.0\.0\.1:\d+\/worker:1: \d\.\d of 4\.2 MB$/);
      assert.ok((half.outputAgeMs ?? Number.NaN) >= 0);
      release();
      // The layer has no programs: the command is looked for only after the pull.
      for (const launchId of ["pulled", "pulled-too"]) await observed(one, launchId, ended);
      await one.launch(order("unknown-image", "", image("nothing:1")));
      const unknown = await observed(one, "unknown-image", ended);
      assert.equal(unknown.reason, "ImageNotFound");
      assert.match(unknown.detail, /manifest unknown/);
      await one.launch(order("denied", "", image("worker:1", guarded)));
      assert.equal((await observed(one, "denied", ended)).reason, "ImagePullDenied");
      const loggedIn = driver(folder, "launcher-1", { ...env, DOCKER_CONFIG: login });
      await loggedIn.launch(
        order("allowed", "", { ...image("worker:1", guarded), volumes: machineVolumes() }),
      );
      assert.notEqual((await observed(loggedIn, "allowed", ended)).reason, "ImagePullDenied");
      await one.launch(order("no-registry", "", { image: "127.0.0.1:1/worker:1" }));
      const away = await observed(one, "no-registry", ({ reason }) => reason === "RegistryUnreachable");
      assert.equal(away.phase, "pending", "it is tried again");
      assert.match(away.detail, /connection refused/);
      assert.equal(away.outputAgeMs, undefined, "nothing grows");
      await one.stop("no-registry", { graceMs: 0 });
      assert.equal((await observed(one, "no-registry", ended)).reason, "NotFound");
      await one.launch(order("absent", "", { image: "absent:1", pullPolicy: DockerPullPolicy.NO_PULL }));
      const absent = await observed(one, "absent", ended);
      assert.deepEqual(
        [absent.reason, /pull_policy is NO_PULL/.test(absent.detail)],
        ["ImageNotFound", true],
      );
    } finally {
      await registry.stop();
      await guarded.stop();
      rmSync(login, { recursive: true });
    }
  });

  it("starts nothing for an id that was stopped before", async () => {
    const both = driver();
    await both.stop("unknown", { graceMs: 0 });
    assert.equal((await observed(both, "unknown", ended)).reason, "NotFound");
    await both.launch(order("unknown", "sleep 1000"));
    assert.equal((await observed(both, "unknown", ended)).reason, "NotFound");
    assert.equal(await engine.container("muster-unknown"), undefined);
  });

  it("asks a container to end, and kills one that ignores it after its grace, which a second stop shortens", async () => {
    const one = driver();
    await one.launch(order("polite", "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.1; done"));
    await one.launch(order("deaf", "trap '' TERM; echo up; while :; do sleep 0.1; done"));
    for (const launchId of ["polite", "deaf"]) {
      await observed(one, launchId, ({ outputBytes }) => outputBytes > 0);
      await one.stop(launchId, { graceMs: 60_000 });
    }
    const { exitCode, logTail } = await observed(one, "polite", ended);
    assert.deepEqual([exitCode, logTail], [7, "up\nbye\n"]);
    assert.equal((await engine.container("muster-deaf"))?.Running, true);
    await one.stop("deaf", { graceMs: 0 });
    assert.equal((await observed(one, "deaf", ended)).exitCode, 137);
  });

  it("ends a container that was paused by hand", async () => {
    const one = driver();
    await one.launch(order("paused", "sleep 1000"));
    await observed(one, "paused", running);
    await engine.call("POST", "/containers/muster-paused/pause");
    await observed(one, "paused", ({ reason }) => reason === "Paused");
    await one.stop("paused", { graceMs: 0 });
    await observed(one, "paused", ended);
  });

  it("says that a container is not healthy", async () => {
    await engine.import("muster-test/sick:1", [
      "HEALTHCHECK --interval=100ms --retries=1 CMD echo no answer; false",
    ]);
    const one = driver();
    const image = { image: "muster-test/sick:1", network: "host", volumes: machineVolumes() };
    await one.launch(order("sick", "sleep 1000", image));
    const { phase, detail } = await observed(one, "sick", ({ reason }) => reason === "Unhealthy");
    assert.equal(phase, "running");
    assert.match(detail, /^its health check has failed \d+ times in a row: no answer$/);
    await one.stop("sick", { graceMs: 0 });
    await observed(one, "sick", ended);
  });

  it("goes on while the engine is away, and knows what has ended when it is back", async () => {
    const one = driver();
    await one.launch(order("cut", "trap 'exit 3' TERM; while :; do sleep 0.1; done"));
    await observed(one, "cut", running);
    const events = one.events()[Symbol.asyncIterator]();
    const next = async (matches: (launch: ObservedLaunch) => boolean) => {
      for (;;) {
        const { value } = await events.next();
        if (value?.launchId === "cut" && matches(value)) return value as ObservedLaunch;
      }
    };
    await next(running);
    await engine.end();
    const away = await next(({ reason }) => reason === "EngineUnreachable");
    assert.match(away.detail, /^the Docker engine cannot be reached: connect (ENOENT|ECONNREFUSED) /);
    assert.ok(lines.includes("launcher.engine_unreachable"));
    const late = driver();
    assert.deepEqual(
      (await late.list())
        .filter(({ launchId }) => launchId === "cut")
        .map(({ phase, reason }) => [phase, reason]),
      [["pending", "EngineUnreachable"]],
      "a launcher that starts now knows that it exists",
    );
    await one.launch(order("waits", "exit 5"));
    await engine.begin();
    assert.notEqual((await next(ended)).exitCode, 0);
    assert.equal((await observed(one, "waits", ended)).exitCode, 5);
    assert.ok(lines.includes("launcher.engine_reached"));
  });

  it("forgets what has ended", async () => {
    const one = driver();
    for (const { launchId, phase } of await one.list()) {
      assert.equal(phase, "ended", launchId);
      await one.forget(launchId);
    }
    await one.list();
    assert.deepEqual(await one.list(), []);
    assert.deepEqual(await engine.containers(), ["muster-theirs"]);
  });
});
